"""Files of a few real barcodes."""


def write_first_rows(sample, path, **counts):
    """Write the first rows of some splits of the sample as a TSV: `split=count, ...`. Returns the path."""
    table = sample.to_pandas()
    with path.open("w") as file:
        file.write("id\tnucleotides\tsplit\n")
        for split, count in counts.items():
            rows = table[table.split == split].head(count)
            file.writelines(f"{row.id}\t{row.nucleotides}\t{row.split}\n" for row in rows.itertuples())
    return path


def write_named_rows(sample, path, **counts):
    """The same with the columns class, family and genus."""
    table = sample.to_pandas()
    rows = [table[table.split == split].head(count) for split, count in counts.items()]
    columns = ["id", "nucleotides", "split", "class", "family", "genus"]
    path.write_text("\n".join("\t".join(row) for row in [columns, *(v for part in rows for v in part[columns].values)]))
    return path
