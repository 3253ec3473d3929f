"""What is asked of a representation: one module per task."""
