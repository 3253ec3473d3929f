"""Tuning a pretrained encoder, in closed form, so that the cosine of embeddings ranks relatives."""
