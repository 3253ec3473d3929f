"""The report's sections: each is a pure function of the results, None where nothing of it was run."""
