"""Checkpoints: read without being run, streamed to safetensors, sliced, and verified value by value.

`archive.py`, `safetensors_file.py` and `source.py` read; `layouts/` says what must be there, one
module per layout; `planning.py` matches the two, and `convert.py` writes and returns the certificate
that `verification.py` compares; `slicing.py` and `sharded.py` derive smaller things; `checks.py`
compares a file with what is known of it. Networks are in `mtp/`, which files make an artifact in
`artifacts/`.
"""
