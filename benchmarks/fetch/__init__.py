"""How fast, and how lean, files are fetched: see README.md."""
