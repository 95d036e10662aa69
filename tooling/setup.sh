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

# Of pip's output what it is doing: on a terminal one line that changes, else a line per phase.
phases() {
    count=0 last=
    phase="looking up and downloading packages"
    while IFS= read -r line; do
        case $line in
        *"Collecting "*)
            count=$((count + 1)) now="package $count: ${line##*Collecting }"
            now=${now%% (*}
            ;;
        *"Downloading "*"("*) now="downloading ${line##*Downloading }" ;;
        "Installing collected packages: "*)
            # shellcheck disable=SC2086 # one argument for each name
            set -- ${line#*: }
            phase="installing $# packages (a minute or two)"
            now="$phase ..."
            ;;
        *) continue ;;
        esac
        if [ -n "$terminal" ]; then
            printf '\r\033[Ksetup: %.70s' "$now"
        elif [ "$phase" != "$last" ]; then
            echo "setup: $phase ..."
        fi
        last=$phase
    done
    [ -z "$terminal" ] || printf '\r\033[K'
}

terminal=
[ ! -t 1 ] || terminal=yes
echo "setup: installing into .venv (some minutes and 1.5 GB of packages the first time) ..."
exec 4>&1
status=$({ {
    .venv/bin/python -m pip install --disable-pip-version-check --progress-bar off \
        --constraint constraints.txt --editable ".$extra" && echo 0 >&3 || echo 1 >&3
} | phases >&4; } 3>&1)
[ "$status" = 0 ] ||
    fail "pip could not install the packages (see above). Without a direct line to a package index, set PIP_INDEX_URL or PIP_FIND_LINKS and call this again"
