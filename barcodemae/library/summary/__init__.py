"""The HTML page that sums up an identification."""
