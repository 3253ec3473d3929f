"""What several test files share: records, hits and small models made by hand, servers, and scripts of whole runs."""
