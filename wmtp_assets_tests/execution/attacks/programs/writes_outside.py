"""Writes into world-writable folders.

Stopped by: Landlock, view
Says: PermissionError|FileNotFoundError|Read-only
Verdict: failed: PermissionError or failed: FileNotFoundError or failed: OSError: [Errno 30]
"""

import json
import tempfile

TARGET = json.loads(input())
for path in (TARGET["outside"] + "/new", TARGET["precious"], "/tmp/new", "/var/tmp/new", "../new"):
    try:
        with open(path, "w") as file:
            file.write("ESCAPED")
        if path != "../new" or TARGET["outside"]:
            print("ESCAPED: wrote", path)
    except OSError as error:
        refused = error
try:
    with tempfile.NamedTemporaryFile(dir=TARGET["outside"]):
        print("ESCAPED: a temporary file outside")
except OSError as error:
    refused = error
raise refused
