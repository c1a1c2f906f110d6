#!/usr/bin/env bash
# Makes .venv with exactly the packages of requirements.lock, and this package in editable form.
# Called by run_all.sh and by `make .venv`; silent and instant when there is nothing to do.
#
# uv installs, several times faster than pip; where it is not on the PATH, pip puts it into .venv first.
#
# Environment:
#   PYTHON              the Python to make .venv with (default: the first of 3.11 or newer on the PATH)
#   SWATCHBOOK_TORCH    cpu or cuda: which builds of torch and torchvision (default: by the machine; on Linux
#                       without an NVIDIA driver the CPU builds, which take 1 GB instead of 6)
#   SWATCHBOOK_DISK_GB  free disk to demand, in GB, where the default is wrong for your machine
set -euo pipefail
unset CDPATH PYTHONHOME PYTHONPATH  # each of them would point this script, or pip, somewhere else
unset PIP_TARGET PIP_PREFIX UV_TORCH_BACKEND
export PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)
cd -- "$root"
stamp=.venv/.complete

say() { printf '%s\n' "$*" >&2; }

fail() { # reason, remedy
    printf '\nSet-up stopped: %s\n  Remedy: %s\n' "$1" "$2" >&2
    exit 1
}

# What a complete .venv was made from. The folder belongs to it: a .venv that was moved runs the old one's Python.
recipe() {
    if command -v sha256sum >/dev/null; then
        sha256sum requirements.lock pyproject.toml
    else
        shasum -a 256 requirements.lock pyproject.toml # macOS
    fi
    printf '%s\n' "$root" "$1"
}

# cpu: from PyTorch's own index, without the lock's NVIDIA packages; locked: what PyPI holds for this platform.
torch_builds() {
    case ${SWATCHBOOK_TORCH:-} in
        cpu) echo cpu ;;
        cuda) echo locked ;;
        '')
            if [ "$(uname -s)" = Linux ] && ! [ -e /proc/driver/nvidia/version ] && ! command -v nvidia-smi >/dev/null
            then echo cpu; else echo locked; fi ;;
        *) fail "SWATCHBOOK_TORCH=$SWATCHBOOK_TORCH is neither cpu nor cuda." "set it to one of them, or unset it." ;;
    esac
}

up_to_date() {
    [ -x .venv/bin/python ] && [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$1" ]
}

# Prints the interpreter behind one candidate; exit 3: older than 3.11; exit 4: cannot make environments.
# The interpreter *behind* it, because .venv may be active while it is being made anew.
probe='
import sys
if sys.version_info < (3, 11): sys.exit(3)
try: import ensurepip, venv
except ImportError: sys.exit(4)
print(getattr(sys, "_base_executable", None) or sys.executable)
'

find_python() {
    local candidate found status without_venv=""
    local candidates=(python3.13 python3.12 python3.11 python3 python)
    if [ -n "${PYTHON:-}" ]; then candidates=("$PYTHON"); fi
    for candidate in "${candidates[@]}"; do
        command -v "$candidate" >/dev/null || continue
        status=0
        # A pyenv shim is on the PATH even where its version is not: only running it tells.
        found=$("$candidate" -c "$probe" 2>/dev/null) || status=$?
        if [ "$status" -eq 0 ]; then
            printf '%s\n' "$found"
            return
        fi
        if [ "$status" -eq 4 ]; then without_venv=${without_venv:-$candidate}; fi
    done
    if [ -n "$without_venv" ]; then
        fail "$without_venv has no venv or ensurepip module, so it cannot make an environment." \
            "on Debian or Ubuntu: apt-get install python3-venv; elsewhere a full Python 3.11 or newer."
    elif [ -n "${PYTHON:-}" ]; then
        fail "PYTHON=$PYTHON is not a Python 3.11 or newer that runs." \
            "unset PYTHON, or set it to one, for example PYTHON=/usr/bin/python3.11."
    fi
    fail "no Python 3.11 or newer on the PATH (looked for python3.13, python3.12, python3.11, python3, python)." \
        "install one (Debian: apt-get install python3 python3-venv; others: https://www.python.org/downloads/), or set PYTHON=/path/to/python3."
}

# The lock sits on the folder itself, through descriptor 9: no extra file, and nothing stale after a kill.
wait_for_other_setup() {
    exec 9<.
    "$1" -c '
import fcntl, sys
try:
    try:
        fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("Another set-up of this folder is under way; waiting for it ...", file=sys.stderr, flush=True)
        fcntl.flock(9, fcntl.LOCK_EX)
except OSError as error:
    print(f"This file system has no locks ({error}): do not start two set-ups at once.", file=sys.stderr)
'
}

demand_disk() { # GB
    local free_kb
    case $1 in '' | *[!0-9]*) fail "SWATCHBOOK_DISK_GB=$1 is not a whole number." "set it to a number of GB, or unset it." ;; esac
    free_kb=$(df -Pk . 2>/dev/null | awk 'NR == 2 { print $4 }') || free_kb=""
    case $free_kb in '' | *[!0-9]*) return 0 ;; esac # a df that says nothing must not stop anyone
    if [ "$free_kb" -lt $(($1 * 1000000)) ]; then
        fail "$((free_kb / 1000000)) GB free on the disk of $root, and the set-up needs $1 GB." \
            "free some, move the folder to a larger disk, or set SWATCHBOOK_DISK_GB if you know that less will do."
    fi
}

run() { # command that installs something
    local log=.venv/setup.log
    "$@" 2>&1 | tee "$log" >&2 && return # pipefail: the command's status
    if grep -qE 'No space left on device|Disk quota exceeded' "$log"; then
        fail "the disk filled up while the packages were being installed." "free some space, then run the same command again."
    elif grep -qE 'error sending request|client error|dns error|NewConnectionError|NameResolutionError|ConnectTimeoutError|ReadTimeoutError|ProxyError|SSLError|MaxRetryError|Failed to establish' "$log"; then
        fail "the package index could not be reached, so there is no network here or something blocks it (the installer's words are above)." \
            "connect to the internet (behind a proxy or mirror: set HTTPS_PROXY, or UV_INDEX_URL and PIP_INDEX_URL), then run the same command again."
    fi
    fail "the packages could not be installed (the installer's words are above, and in $log)." \
        "mend what is named there, then run the same command again."
}

# A uv that can choose torch's builds: the one on the PATH, or one that pip puts into .venv.
find_uv() {
    if command -v uv >/dev/null && uv pip install --help 2>/dev/null | grep -q -- --torch-backend; then
        command -v uv
    else
        run .venv/bin/python -m pip install -q 'uv>=0.8' && echo .venv/bin/uv
    fi
}

reaches_cpu_builds() {
    .venv/bin/python -c '
import urllib.request
urllib.request.urlopen("https://download.pytorch.org/whl/cpu/torch/", timeout=15)
' 2>/dev/null
}

[ -f requirements.lock ] && [ -f pyproject.toml ] ||
    fail "requirements.lock or pyproject.toml is missing in $root." "run this from a whole copy of the project."
builds=$(torch_builds)
want=$(recipe "$builds")
if up_to_date "$want"; then exit 0; fi

python=$(find_python)
wait_for_other_setup "$python"
if up_to_date "$want"; then exit 0; fi

if [ -f .venv ]; then
    fail "$root/.venv is a file." "move it away: the environment goes there."
elif [ -f "$stamp" ]; then
    say ".venv was made for another lock, pyproject.toml or folder: making it anew."
elif [ -e .venv/pyvenv.cfg ]; then
    say ".venv was not finished: making it anew."
fi
# Emptied rather than repaired: pip takes a package that it was stopped in the middle of for a whole one.
rm -f "$stamp"
if [ -d .venv ]; then find .venv/ -mindepth 1 -delete; fi

# Measured on Linux: 6 GB with CUDA, of it 5 GB torch and NVIDIA's packages. The others: estimated.
case $builds-$(uname -s) in
    locked-Linux) size="6 GB, because torch brings CUDA" need=12 ;;
    *) size="2 GB" need=5 ;;
esac
demand_disk "${SWATCHBOOK_DISK_GB:-$need}"

version=$("$python" -c 'import platform; print(platform.python_version())')
say "Making .venv with Python $version ($python) ..."
"$python" -m venv .venv ||
    fail "$python could not make an environment (its words are above)." "mend what it names (is the folder writable?), or set PYTHON to another Python 3.11 or newer."

mkdir .venv/tmp
export TMPDIR=$root/.venv/tmp # the wheels are larger than many a /tmp
uv=$(find_uv)
lock=requirements.lock backend=()
if [ "$builds" = cpu ] && ! reaches_cpu_builds; then
    say "PyTorch's index of CPU builds cannot be reached: taking the locked builds, which bring CUDA (6 GB)."
    demand_disk "${SWATCHBOOK_DISK_GB:-12}"
elif [ "$builds" = cpu ]; then
    lock=.venv/tmp/cpu.lock backend=(--torch-backend cpu)
    grep -vE '^(nvidia-|cuda-|triton=)' requirements.lock >"$lock"
fi
packages=$(grep -cE '^[A-Za-z0-9].*==' "$lock")
say "Installing up to $packages packages from requirements.lock (about $size; a minute or less on a fast network) ..."
# Compiled at once, as pip does it: many processes import torch, and some machines never keep compiled files.
run "$uv" pip install -q -p .venv/bin/python --compile-bytecode ${backend[@]+"${backend[@]}"} -r "$lock"
say "Installing swatchbook itself ..."
run "$uv" pip install -q -p .venv/bin/python --no-deps -e .
rm -rf .venv/tmp .venv/setup.log

# Last, and in one move: its presence is what says that everything before it went well.
printf '%s\n' "$want" >"$stamp.new"
mv "$stamp.new" "$stamp"
say ".venv is ready."
