"""Leaves files in the machine's shared memory (/dev/shm).

Stopped by: Landlock, view
Says: PermissionError|FileNotFoundError
Verdict: failed: PermissionError or failed: FileNotFoundError
"""

from multiprocessing import shared_memory

with open("/dev/shm/left-behind", "w"):
    print("ESCAPED: wrote in /dev/shm")
shared_memory.SharedMemory("left-behind-too", create=True, size=1000)
print("ESCAPED: has shared memory")
