r"""Makes a sparse file of one terabyte.

Stopped by: limits (size of a file)
Says: OSError: \[Errno 27\]
Verdict: failed: OSError: [Errno 27]
"""

with open("large", "wb") as file:
    file.truncate(1 << 40)
print("ESCAPED: has a file of a terabyte")
