"""What identification says of a query, and the formats in which that is written."""
