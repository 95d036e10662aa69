"""How much memory of its own a process has had at most, for programs that tests run in one."""

WATCH = """
import sys, threading, time
from pathlib import Path

peak = 0
def look(*_):
    global peak
    status = Path("/proc/self/status").read_text()
    peak = max(peak, int(status.split("RssAnon:")[1].split()[0]))

def watch():
    while True:
        look()
        time.sleep(0.005)

# A busy machine may not let the thread look: so whoever works looks, too, as often as it works.
looked = threading.local()
def look_at_work(*_):
    now = time.thread_time()
    if now - getattr(looked, "at", -1) > 0.005:
        look()
        looked.at = time.thread_time()

threading.setprofile(look_at_work)
sys.setprofile(look_at_work)
threading.Thread(target=watch, daemon=True).start()
"""
"""The beginning of a program: from then on `peak` is in KiB, private memory that is resident.
`sys.setprofile(None)` before it is read."""
