"""The published evaluation of a model, beside rivals that it has to beat.

What card and command line take from it (`report`, `folds`, `comparison`) does without the extra `evaluate`.
"""
