"""What of a sequence is on the marker, which references are near, and how they vote."""
