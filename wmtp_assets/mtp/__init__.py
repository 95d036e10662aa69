"""The multi-token-prediction transformer in plain PyTorch, the reward head, and their checks.

`model.py` is the network, `loading.py` reads it from a directory of the storage, `reward.py` is
Starling's head on a LLaMA trunk, `streaming.py` executes a network from its file, and `checks.py`
checks that models load and work. Nothing is imported here: `import torch` takes seconds. Not here:
files and layouts of checkpoints, params.json included (`checkpoints/`).
"""
