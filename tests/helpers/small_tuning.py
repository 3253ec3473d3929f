"""Tuning on some hundred barcodes of the sample."""

from barcodemae.training.tuning.settings import TuneArguments


def write_named(sample, file):
    """Write some hundred barcodes with names, a few of each species. Returns the file."""
    records = sample.to_pandas()
    records = records[(records.genus != "") & (records.species != "")].groupby("species").head(3).head(900)
    records.to_parquet(file)
    return file


def tune_arguments(checkpoint, output, file, **options):
    """Arguments for embeddings of 16 numbers, by all barcodes of a file."""
    splits = ["pretrain", "train", "val", "test", "val_unseen", "test_unseen"]
    return TuneArguments(str(checkpoint), str(output), [str(file)], splits=splits, embedding_size=16, **options)
