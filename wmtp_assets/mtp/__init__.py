"""The multi-token-prediction transformer in plain PyTorch, the reward head, and their proofs.

`model.py` is the network, `loading.py` reads it from a directory of the storage, `reward.py` is
Starling's head on a LLaMA trunk, `proofs.py` asks whether artifacts load and work. Nothing is
imported here: `import torch` takes seconds, and who only reads `params.py` need not pay them.
"""
