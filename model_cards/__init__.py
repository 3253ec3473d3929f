"""Model cards: the template, which is shipped with the package, and a rendered card of each published checkpoint."""
