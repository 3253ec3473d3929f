"""What a model is compared with: other encoders, counts and linear maps of barcodes, and alignment."""
