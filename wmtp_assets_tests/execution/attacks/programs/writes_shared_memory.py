"""Leaves files in the machine's shared memory (/dev/shm).

Stopped by: Landlock, view
Says: PermissionError|FileNotFoundError
Verdict: failed: PermissionError or failed: FileNotFoundError
"""

import json
from multiprocessing import shared_memory

TARGET = json.loads(input())
with open(f"/dev/shm/{TARGET['left']}", "w"):
    print("ESCAPED: wrote in /dev/shm")
shared_memory.SharedMemory(f"{TARGET['left']}-too", create=True, size=1000)
print("ESCAPED: has shared memory")
