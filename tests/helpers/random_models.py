"""Models with random parameters, and random k-mers for them to read."""

import torch


def random_model(kind, config, seed=0):
    """A model in evaluation mode with random parameters only, so that an initial zero cannot hide an error."""
    torch.manual_seed(seed)
    model = kind(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.3)
    return model.eval()


def random_kmers(config, rows=3, tokens=12, seed=0):
    """Ids of known k-mers, which lie between the special tokens."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(2, config.pad_token_id, (rows, tokens), generator=generator)
