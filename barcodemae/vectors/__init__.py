"""Arithmetic of many vectors: which are nearest, and in which directions they differ."""
