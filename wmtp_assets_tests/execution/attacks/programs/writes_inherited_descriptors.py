r"""Writes to every file descriptor inherited from its parent.

Stopped by: descriptors
Says: OSError: \[Errno 9\]
Verdict: failed: OSError: [Errno 9]
"""

import os

for number in range(3, 4096):
    try:
        os.fstat(number)
        os.write(number, b"ESCAPED")
        print("wrote into", number)
    except OSError as error:
        refused = error
raise refused
