"""Tuning a pretrained encoder in closed form, so that cosine similarity of embeddings ranks relatives."""
