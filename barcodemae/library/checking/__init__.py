"""Checks of references and sequences: doubtful labels and names, stop codons, frame shifts, chimeras."""
