"""SHA-256 of tensors whose bytes pass by in order, a block at a time."""

from __future__ import annotations

import hashlib

from wmtp_assets.checkpoints.tensors import Bytes

_NOTHING = hashlib.sha256().hexdigest()  # of a tensor without elements


class TensorDigests:
    """Digests of `count` tensors; their bytes come in the tensors' order, some not at all."""

    def __init__(self, count: int) -> None:
        self._found = [_NOTHING] * count
        self._current = -1
        self._hash = hashlib.sha256()

    def update(self, index: int, data: Bytes) -> None:
        """The next bytes of tensor `index`."""
        if index != self._current:
            self.finish()
            self._current, self._hash = index, hashlib.sha256()
        self._hash.update(data.data)

    def finish(self) -> list[str]:
        """The digests so far, in hex, by tensor."""
        if self._current >= 0:
            self._found[self._current] = self._hash.hexdigest()
        return self._found
