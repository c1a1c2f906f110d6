#!/usr/bin/env bash
# The whole study in one command: makes .venv where it is not up to date, then runs every stage of a profile.
#
#   ./run_all.sh [--profile NAME] [--source DIR] [--images DIR] [--audit FILE] [--run-dir DIR] [--set key=value ...]
#
# Without arguments: the demo, which needs neither network nor GPU.
# All arguments go to `swatchbook run`; relative paths among them count from where you stand.
# `./run_all.sh --help` lists them. PYTHON=/path/to/python3 chooses the Python of .venv.
set -euo pipefail
unset CDPATH

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd -P)
bash "$root/scripts/setup.sh"
exec "$root/.venv/bin/swatchbook" run "$@"
