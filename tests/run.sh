#!/usr/bin/env bash
# Sets up .venv if needed, then lint, format, types and tests; stops at the first that fails,
# the cheap ones come first.
#
#   bash tests/run.sh                      all, two files at a time
#   bash tests/run.sh -k locks -x          arguments go to pytest; -n 0: one after
#                                          the other in this process
#
# The report is tested in a real browser: Chromium and its driver, which root gets from
# apt where they are missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash examples/setup.sh
python=.venv/bin/python

if ! command -v chromedriver >/dev/null && command -v apt-get >/dev/null && ((EUID == 0)); then
    echo "[tests] installing chromium and chromium-driver"
    {
        apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y \
            --no-install-recommends chromium chromium-driver
    } >.venv/apt.log 2>&1 ||
        echo "[tests] that did not work (.venv/apt.log):" \
            "the tests that need a browser will fail" >&2
fi

# Without this each of many processes takes every core for itself, and spins on it while it waits.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} MKL_NUM_THREADS=${MKL_NUM_THREADS:-1}
export OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}
unset PYTHONPATH

part() {
    local name=$1
    shift
    echo "[tests] $name"
    "$@" || {
        local status=$?
        echo "[tests] $name FAILED" >&2
        exit "$status"
    }
}

part "ruff check" "$python" -m ruff check .
part "ruff format" "$python" -m ruff format --check .
part "mypy" "$python" -m mypy
# By file, so that what a file sets up once is set up once;
# tests/conftest.py puts the longest first.
part "pytest" "$python" -m pytest -n 2 --dist loadfile --no-loadscope-reorder \
    --durations 20 "$@"
