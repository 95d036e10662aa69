"""Secures the checkpoints, datasets and metadata that WMTP research starts from."""
