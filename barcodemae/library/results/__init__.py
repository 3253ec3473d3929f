"""The results of identification, and the formats in which they are written."""
