"""Allocates and touches memory until none is left.

Stopped by: limits (address space)
Says: MemoryError
Verdict: memory
"""

kept = []
for megabytes in range(64, 2048, 64):  # a tenth of ten gigabytes: enough to see
    kept.append(bytearray(b"x") * (64 << 20))
    if megabytes > 640:
        print("ESCAPED: holds", megabytes, "MB")
