"""How long a record may be."""

MAX_LENGTH = 1_000_000
"""Most nucleotides of a record, unless another number is asked for: more than a plastid has, less than a chromosome."""

MAX_LENGTH_HELP = "A record of more nucleotides, such as a chromosome, is not read: it is a bad record."
