"""The formats in which the results of an identification are written, by name."""

TSV, PARQUET, JSONL, SINTAX, QIIME2, BLAST6 = "tsv", "parquet", "jsonl", "sintax", "qiime2", "blast6"

FORMATS = {
    TSV: "a line a query",
    PARQUET: "everything",
    JSONL: "everything",
    SINTAX: "as vsearch --sintax --tabbedout; the call takes the place of the cutoff",
    QIIME2: "Feature ID, Taxon, Confidence",
    BLAST6: "as BLAST's -outfmt 6, of aligned hits alone; evalue and bitscore do not exist here and are *",
}
"""What `open_writer` writes, and what that is."""
