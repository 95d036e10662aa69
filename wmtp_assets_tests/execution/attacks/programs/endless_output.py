"""Prints forever.

Stopped by: watch (bytes of output)
Says: printed more than 1048576 bytes
Verdict: failed: more than 1,048,576 bytes of output
"""

import os

while True:
    os.write(1, b"x" * 65536)
