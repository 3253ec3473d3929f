"""Templates of the cards of models and libraries, which come with the package."""
