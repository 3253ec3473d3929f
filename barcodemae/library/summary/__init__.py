"""The HTML summary of an identification."""
