"""Changes scheduling priorities, and moves processes to other CPUs.

Stopped by: seccomp
Says: PermissionError
Verdict: failed: PermissionError
"""

import os

for name, do in {
    "priority": lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 19),
    "processors": lambda: os.sched_setaffinity(os.getppid(), {0}),
    "scheduler": lambda: os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0)),
}.items():
    try:
        do()
        print("ESCAPED: changed its", name)
    except OSError as error:
        refused = error
raise refused
