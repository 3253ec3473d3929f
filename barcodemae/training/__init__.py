"""Pretraining and fine-tuning: one training loop for all objectives."""
