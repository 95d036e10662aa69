"""Ends its main thread while another thread goes on.

Stopped by: limits (CPU time)
Says: time:
Verdict: time
"""

import ctypes
import json
import threading

NUMBERS = json.loads(input())["numbers"]


def go_on():
    while True:
        pass


threading.Thread(target=go_on).start()
ctypes.CDLL(None).syscall(NUMBERS["exit"], 0)
