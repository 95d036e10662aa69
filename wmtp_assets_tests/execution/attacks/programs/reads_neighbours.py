"""Looks into the folders of other programs, and leaves a file there.

Stopped by: Landlock, view
Says: PermissionError|Read-only
Verdict: failed: PermissionError or failed: OSError: [Errno 30]
"""

import os

for name in os.listdir(".."):
    if name != os.path.basename(os.getcwd()):
        print("ESCAPED: sees", name)
with open("../new", "w"):
    print("ESCAPED: wrote beside its folder")
