r"""Allocates memory as shared mappings, outside the heap.

Stopped by: limits (address space)
Says: OSError: \[Errno 12\]
Verdict: failed: OSError: [Errno 12] or memory
"""

import mmap

kept = []
for _ in range(32):
    kept.append(mmap.mmap(-1, 64 << 20))
    if len(kept) > 10:
        print("ESCAPED: mapped", 64 * len(kept), "MB")
