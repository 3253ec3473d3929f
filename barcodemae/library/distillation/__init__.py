"""Distillation: a small library that gives the same names as a large one."""
