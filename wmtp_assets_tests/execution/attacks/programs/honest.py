"""No attack: reads, computes, imports, writes into its folder, and ends.

Stopped by: nothing
Says: ended by itself
Verdict: none
"""

import ctypes
import decimal
import hashlib
import json
import os
import random
import resource
import signal
import sqlite3
import ssl
import tempfile
import threading
import time

TARGET = json.loads(input())
assert sum(range(1000)) == 499_500
assert hashlib.sha256(b"").hexdigest().startswith("e3b0c442")
assert decimal.Decimal(2).sqrt() > 1
assert ssl.OPENSSL_VERSION
assert sqlite3.connect(":memory:").execute("select 1").fetchone() == (1,)
assert ctypes.CFUNCTYPE(ctypes.c_int)(lambda: 7)() == 7
os.mkdir("folder")
with open("folder/a", "w") as file:
    file.write("x" * 1000)
assert open("folder/a").read() == "x" * 1000
assert tempfile.gettempdir() == os.getcwd()
try:
    os.rename("folder/a", "b")
except PermissionError:  # where nothing bounds what its folder takes, files keep their names
    os.rename = None
else:
    assert os.listdir() in (["b", "folder"], ["folder", "b"])
    with tempfile.TemporaryFile() as temporary:
        temporary.write(b"y")
    os.remove("b")
assert open(TARGET["readable"]).read() == "may be read\n"
threads = [threading.Thread(target=random.random) for _ in range(8)]
for one in threads:
    one.start()
for one in threads:
    one.join()
threading.stack_size(64 << 20)
one = threading.Thread(target=time.sleep, args=(0.01,))
one.start()
one.join()
signal.signal(signal.SIGALRM, lambda *_: print("alarm"))
signal.setitimer(signal.ITIMER_REAL, 0.01)
time.sleep(0.02)
os.kill(os.getpid(), 0)
resource.setrlimit(resource.RLIMIT_STACK, resource.getrlimit(resource.RLIMIT_STACK))
with open(os.devnull, "w") as nothing:
    print("nothing", file=nothing)
print("/dev/stdin", open("/dev/stdin").read() if os.path.exists("/dev/stdin") else "missing")
