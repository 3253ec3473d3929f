"""Settings of identification, which the help of the commands shows too: numbers, and the formats of results."""

NUM_CANDIDATES = 50
"""Number of references nearest by their vectors, which are compared base by base."""

NUM_VOTERS = 10
"""Number of the best among these candidates, which vote for a name."""

MIN_CONFIDENCE = 0.8
"""Default for the minimum probability of being right with which a name is called."""

TSV, PARQUET, JSONL, SINTAX, QIIME2, BLAST6 = "tsv", "parquet", "jsonl", "sintax", "qiime2", "blast6"

FORMATS = {
    TSV: "one line for each query",
    PARQUET: "all columns",
    JSONL: "all columns",
    SINTAX: "as vsearch --sintax --tabbedout; names down to the called rank instead of a cutoff",
    QIIME2: "Feature ID, Taxon, Confidence",
    BLAST6: "as BLAST's -outfmt 6, only aligned hits, best first",
}
"""The formats that `open_writer` writes, each with a description."""
