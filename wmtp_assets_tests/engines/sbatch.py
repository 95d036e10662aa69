#!/usr/bin/env python3
"""A stand-in for Slurm's `sbatch` on one machine: it reads the script's #SBATCH lines, and has run
the job when it returns.

Knows --array, --output, --cpus-per-task, --requeue, --parsable and --dependency=afterany; refuses
others but those that only choose where and how long. Jobs are numbered in the folder that
SBATCH_STANDIN names, where `jobs.jsonl` says what was run. SBATCH_KILL="ELEMENT" kills that element
of an array once, as a node does that fails; what asked for --requeue is then run again. It is
killed when it has done its work, and is about to give its result a name: it stops itself there.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

HOME = Path(os.environ["SBATCH_STANDIN"])
PASSED_OVER = {"partition", "account", "time", "mem-per-cpu", "job-name"}
KNOWN = {"array", "output", "cpus-per-task", "requeue", "parsable", "dependency"} | PASSED_OVER
STOPS = """
import os, signal, sys, threading

def stop(event, arguments):
    if event == "os.rename" and os.fsdecode(arguments[1]).endswith(".json"):
        signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)

sys.addaudithook(stop)
"""


def options_of(words: list[str]) -> dict[str, str]:
    """Long options, as {name: value}."""
    found = {}
    for word in words:
        name, _, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or name not in KNOWN:
            sys.exit(f"sbatch: error: unrecognized option {word!r}")
        found[name] = value
    return found


def elements(array: str) -> list[int]:
    """The numbers that --array names."""
    found = []
    for part in array.split(","):
        if not re.fullmatch(r"\d+(-\d+)?", part):
            sys.exit(f"sbatch: error: Invalid job array specification {array!r}")
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def run(script: Path, log: Path, variables: dict[str, str], kill: bool) -> int:
    """One element: its exit status."""
    if kill:
        folder = HOME / "stops"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(STOPS)
        variables = {**variables, "PYTHONPATH": str(folder)}
    with log.open("ab") as file:
        process = subprocess.Popen(
            [script],
            stdout=file,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **variables},
            start_new_session=True,
        )
        if kill:
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            if not os.WIFSTOPPED(status):
                sys.exit(f"sbatch: error: ended before it was killed, see {log}")
            os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


def main() -> None:
    """See the module."""
    words = sys.argv[1:]
    options, script = options_of([w for w in words if w.startswith("-")]), Path(words[-1])
    lines = script.read_text().splitlines()
    stated = [shlex.split(line)[1] for line in lines if line.startswith("#SBATCH ")]
    options = options_of(stated) | options
    past = HOME / "jobs.jsonl"
    known = past.read_text().splitlines() if past.exists() else []
    after = options.get("dependency", "")
    if after and after not in {f"afterany:{number}" for number in range(1, len(known) + 1)}:
        sys.exit("sbatch: error: Batch job submission failed: Job dependency problem")
    job = len(known) + 1
    copy = HOME / f"script-{job}"  # Slurm runs a copy, too
    copy.write_bytes(script.read_bytes())
    copy.chmod(0o700)
    statuses = {}
    wanted = os.environ.get("SBATCH_KILL")
    for number in elements(options["array"]) if "array" in options else [None]:
        log = options["output"].replace("%A", str(job)).replace("%j", str(job))
        log = log.replace("%a", str(number)).replace("%%", "%")
        variables = {"SLURM_JOB_ID": str(job), "SLURM_CPUS_PER_TASK": options["cpus-per-task"]}
        if number is not None:
            variables |= {"SLURM_ARRAY_TASK_ID": str(number)}
        kill = wanted == str(number)
        tries = [run(copy, Path(log), variables, kill)]
        if kill and "requeue" in options:
            tries.append(run(copy, Path(log), variables, False))
        statuses[str(number)] = tries
    with past.open("a") as file:
        file.write(json.dumps({"script": script.name, "options": options, "ran": statuses}) + "\n")
    print(job if "parsable" in options else f"Submitted batch job {job}")


if __name__ == "__main__":
    main()
