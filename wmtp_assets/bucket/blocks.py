"""Blocks: what can be read of a long file by itself, and compared with what was pushed.

A row of a corpus has some kilobytes, a piece 8 MiB. So beside its pieces, each longer file has a
list of digests, one per 64 KiB, as an object of its own: who has the list reads any range.
"""

from __future__ import annotations

import blake3

BLOCK = 64 << 10
"""Bytes of a block, but of a file's last one. A piece is a whole number of blocks."""
DIGEST = 32
"""Bytes of a block's digest in a list. It is BLAKE3, three times as quick as SHA-256."""


def digests_of(data: bytes) -> bytes:
    """The digests of the blocks of `data`, which begins where a block does, one after another."""
    view = memoryview(data)
    return b"".join(
        blake3.blake3(view[begin : begin + BLOCK]).digest() for begin in range(0, len(data), BLOCK)
    )


def list_size(size: int) -> int:
    """Bytes in the list of a file of `size` bytes."""
    return DIGEST * -(-size // BLOCK)
