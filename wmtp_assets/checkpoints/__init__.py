"""Checkpoints: read without being run, streamed to safetensors, sliced, and proven value by value.

`archive.py`, `safetensors_file.py` and `source.py` read; `layouts/` says what must be there;
`convert.py` writes and returns the certificate that `certificate.py` verifies; `slicing.py` and
`sharded.py` derive smaller things; `proofs.py` answers the checks' questions.
"""
