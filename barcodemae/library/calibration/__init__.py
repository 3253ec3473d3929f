"""How reliable names are: probabilities, learnt from queries with known names and evaluated on others."""
