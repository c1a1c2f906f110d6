#!/usr/bin/env bash
# Sees to a Chromium for the tests that open the report: $SWATCHBOOK_BROWSER, any on the PATH, Playwright's own,
# Debian's package (when root), Playwright's own fetched now. Without one it says so and succeeds: those tests skip.
set -euo pipefail
unset CDPATH

root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)

say() { printf '%s\n' "$*" >&2; }

on_path() {
    command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null
}

playwrights_own() {
    "$root/.venv/bin/python" 2>/dev/null -c '
import pathlib, sys
from playwright.sync_api import sync_playwright
with sync_playwright() as p:
    sys.exit(not pathlib.Path(p.chromium.executable_path).exists())
'
}

from_debian() {
    [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null || return 1
    say "No Chromium here: installing Debian's package for the report's tests ..."
    local -x DEBIAN_FRONTEND=noninteractive
    local quiet=(-qq -o Acquire::Retries=0 -o DPkg::Lock::Timeout=60)
    {
        apt-get "${quiet[@]}" update &&
            apt-get "${quiet[@]}" install -y --no-install-recommends chromium
    } >/dev/null </dev/null || return 1
    hash -r
    on_path
}

from_playwright() {
    [ -x "$root/.venv/bin/playwright" ] || return 1
    say "No Chromium here: fetching Playwright's own for the report's tests ..."
    "$root/.venv/bin/playwright" install chromium
}

if [ -n "${SWATCHBOOK_BROWSER:-}" ]; then
    command -v "$SWATCHBOOK_BROWSER" >/dev/null ||
        say "SWATCHBOOK_BROWSER=$SWATCHBOOK_BROWSER cannot be run: the browser tests will skip."
    exit 0
fi
on_path || playwrights_own || from_debian || from_playwright ||
    say "No Chromium could be had: the browser tests will skip. Install one (chromium or google-chrome), or name it in SWATCHBOOK_BROWSER."
