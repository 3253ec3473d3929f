"""Static pages that identify barcodes in the browser, with the records of a reference library."""
