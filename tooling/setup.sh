#!/bin/sh
# Makes .venv and installs the package into it. Usage: tooling/setup.sh [dev]
# Says in one line what is missing on this machine. Safe to call again, and after an interrupted one.
set -eu
cd "$(dirname "$0")/.."
extra=${1:+"[$1]"}
needed_mib=3000

fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

find_python() {
    for python in ${PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if command -v "$python" >/dev/null 2>&1 &&
            "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$python"
            return
        fi
    done
    fail "Python 3.11 or newer is missing. On Debian or Ubuntu: sudo apt-get install python3 python3-venv (or set PYTHON=/path/to/python3.11)"
}

# pip's own words on a full disk drown in a traceback, so look first.
if [ ! -x .venv/bin/wmtp ]; then
    free_mib=$(df -Pm . | awk 'NR==2 {print $4}')
    [ "$free_mib" -ge "$needed_mib" ] ||
        fail "the disk is too full: the packages need about $needed_mib MiB, $free_mib MiB are free in $(pwd)"
fi

if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    python=$(find_python)
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "the venv module is missing. On Debian or Ubuntu: sudo apt-get install python3-venv"
    "$python" -m venv --clear .venv || fail "$python -m venv .venv failed (see above)"
fi

echo "setup: installing into .venv (some minutes and 1.5 GB of packages the first time) ..."
.venv/bin/python -m pip install --quiet --disable-pip-version-check \
    --constraint constraints.txt --editable ".$extra" ||
    fail "pip could not install the packages (see above). Without a direct line to a package index, set PIP_INDEX_URL or PIP_FIND_LINKS and call this again"
