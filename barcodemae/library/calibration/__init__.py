"""How far a name can be trusted: learnt from named queries, and judged on others."""
