"""The tasks of an evaluation, one module each."""
