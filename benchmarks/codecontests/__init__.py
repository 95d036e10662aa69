"""How fast and how lean the corpora are: `python -m benchmarks.codecontests`."""
