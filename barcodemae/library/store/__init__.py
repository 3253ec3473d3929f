"""A library on disk: its manifest, records, locks, and the library as it is read."""
