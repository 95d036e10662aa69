"""BLAKE3 of tensors whose bytes pass by in order, a block at a time.

A tensor's digest is compared with what this package wrote itself and never with upstream's, so its
algorithm is ours to choose: BLAKE3 is as strong as SHA-256 and twice as quick on one core. Files
keep SHA-256, which is what SHA256SUMS, the Hub and every other tool state.
"""

from __future__ import annotations

from typing import Literal

from blake3 import blake3

from wmtp_assets.checkpoints.tensors import Bytes

ALGORITHM: Literal["blake3"] = "blake3"  # as the certificate names it


def digest_of(data: Bytes) -> str:
    """The digest, in hex, of a tensor whose bytes are at hand."""
    return blake3(data.data).hexdigest()


_NOTHING = blake3().hexdigest()  # of a tensor without elements


class TensorDigests:
    """Digests of `count` tensors; their bytes come in the tensors' order, some not at all."""

    def __init__(self, count: int) -> None:
        self._found = [_NOTHING] * count
        self._current = -1
        self._hash = blake3()

    def update(self, index: int, data: Bytes) -> None:
        """The next bytes of tensor `index`."""
        if index != self._current:
            self.finish()
            self._current, self._hash = index, blake3()
        self._hash.update(data.data)

    def finish(self) -> list[str]:
        """The digests so far, in hex, by tensor."""
        if self._current >= 0:
            self._found[self._current] = self._hash.hexdigest()
        return self._found
