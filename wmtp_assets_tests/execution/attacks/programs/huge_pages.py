r"""Takes huge pages, whose pool the whole machine shares.

Stopped by: seccomp
Says: PermissionError|OSError: \[Errno 1\]
Verdict: failed: PermissionError
"""

import mmap

MAP_HUGETLB = 0x40000
mmap.mmap(-1, 2 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_HUGETLB)
print("ESCAPED: has a huge page")
