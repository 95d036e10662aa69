"""One torch thread a test process: pytest-xdist already keeps every core busy."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
