"""The published evaluation of a model, beside rivals that it has to beat.

Of its modules, `report` alone does without the extra `evaluate`.
"""
