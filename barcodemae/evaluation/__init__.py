"""The published evaluation of a model, with baselines to compare it with.

The report, the folds and the assignments do without the extra `evaluate`: card and command line use them.
"""
