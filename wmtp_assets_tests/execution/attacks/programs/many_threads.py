"""Starts ten thousand threads.

Stopped by: limits (threads per user, address space), watch
Says: can't start new thread|more than 32 threads
Verdict: failed: RuntimeError: can't start new thread or failed: more than 32 threads
"""

import json
import threading
import time

TARGET = json.loads(input())
threading.stack_size(32768)
for count in range(10_000):
    threading.Thread(target=time.sleep, args=(600,), daemon=True).start()
    if count > 1000:
        time.sleep(TARGET["patience"])
        print("ESCAPED: has", count, "threads")
        break
    time.sleep(0.002)
