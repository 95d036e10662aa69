"""How fast and how lean checkpoints are converted, beside other ways and the machine's floor."""
