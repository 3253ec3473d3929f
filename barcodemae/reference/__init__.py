"""Reference libraries: build them, search them, name barcodes by them."""
