"""Raises its own limits again.

Stopped by: limits (a hard limit cannot be raised)
Says: ValueError
Verdict: failed: ValueError
"""

import resource

for what in (
    resource.RLIMIT_CPU,
    resource.RLIMIT_AS,
    resource.RLIMIT_FSIZE,
    resource.RLIMIT_NOFILE,
):
    try:
        resource.setrlimit(what, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        print("ESCAPED: raised", what)
    except ValueError as error:
        refused = error
raise refused
