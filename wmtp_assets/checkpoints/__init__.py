"""Checkpoints: read without being run, streamed to safetensors, sliced, verified value by value.

`archive.py`, `safetensors_file.py` and `source.py` read; `layouts/` says what must be there, one
module per layout; `planning.py` matches the two, and `convert.py` writes and returns the
certificate that `verification.py` compares; `slicing.py` and `sharded.py` derive smaller things;
`checks.py` compares a file with what is known of it. Not here: networks (`mtp/`), and which files
make an artifact (`artifacts/`).
"""
