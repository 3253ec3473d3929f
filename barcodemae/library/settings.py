"""Settings of identification, which the help of the commands shows too: numbers, primers, and formats of results."""

NUM_CANDIDATES = 50
"""Number of references nearest by their vectors, which are compared base by base."""

NUM_VOTERS = 10
"""Number of the best among these candidates, which vote for a name."""

MIN_CONFIDENCE = 0.8
"""Default for the minimum probability of being right with which a name is called."""

# As synthesised, 5' to 3'; inosine, which pairs with any base, is N.
LCO1490, HCO2198 = "GGTCAACAAATCATAAAGATATTGG", "TAAACTTCAGGGTGACCAAAAAATCA"

PRIMERS = {
    "folmer": (LCO1490, HCO2198),
    "leray": ("GGWACWGGWTGAACWGTWTAYCCYCC", "TANACYTCNGGRTGNCCRAARAAYCA"),
    "uni-minibar": ("TCCACTAATCACAARGATATTGGTAC", "GAAAATCATAATGAAGGCATGAGC"),
    "zeale": ("AGATATTGGAACWTTATATTTTATTTTTGG", "WACTAATCAATTWCCAAATCCTCC"),
}
"""Forward and reverse primers of common amplicons of COI: LCO1490 and HCO2198 (Folmer et al. 1994), with 658 bases
between them; mlCOIintF and jgHCO2198 (Leray et al. 2013), 313; Uni-MinibarF1 and R1 (Meusnier et al. 2008), 127;
ZBJ-ArtF1c and ZBJ-ArtR2c (Zeale et al. 2011), 157."""

PRIMERS_HELP = (
    f"Primers of the amplicon: {', '.join(PRIMERS)}, or the sequences FORWARD,REVERSE with IUPAC codes (5' to 3'). "
    "Bases of primers, and all outside of them, are not compared."
)

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
