#!/usr/bin/env bash
# Sets up .venv if needed, then lint, format, types and tests; stops at the first that fails, the cheap ones come first.
#
#   bash tests/run.sh                      all
#   bash tests/run.sh -k locks -x          arguments go to pytest
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bash examples/setup.sh
python=.venv/bin/python

# Without this each of many processes takes every core for itself.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-2} MKL_NUM_THREADS=${MKL_NUM_THREADS:-2}
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
part "pytest" "$python" -m pytest "$@"
