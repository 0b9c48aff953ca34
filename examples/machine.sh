# Sourced by the entry scripts before anything is installed: which Python, which device.
# Failures go through `fail MESSAGE`, which the sourcing script has.

has_gpu() {
    local listing
    # Read whole before it is searched: behind a `grep -q` nvidia-smi may die of the closed
    # pipe, and count as none.
    listing=$(timeout 60 nvidia-smi -L 2>/dev/null) || return 1
    [[ $'\n'$listing == *$'\nGPU '* ]]
}

choose_device() {
    case "${DIFFICULTY_CALIB_DEVICE:-}" in
        cpu | gpu) echo "$DIFFICULTY_CALIB_DEVICE" ;;
        '') if has_gpu; then echo gpu; else echo cpu; fi ;;
        *) fail "DIFFICULTY_CALIB_DEVICE is '$DIFFICULTY_CALIB_DEVICE'; it can be cpu or gpu" ;;
    esac
}

find_python() {
    local candidate
    for candidate in ${DIFFICULTY_CALIB_PYTHON:+"$DIFFICULTY_CALIB_PYTHON"} \
        python3.11 /usr/bin/python3.11 python3.12; do
        # A shim may be in the PATH with no such Python behind it, and Debian ships
        # Python without ensurepip.
        if "$candidate" -c 'import sys, venv, ensurepip
sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' >/dev/null 2>&1; then
            echo "$candidate"
            return
        fi
    done
    fail "no Python 3.11 with the venv module found. Install one" \
        "(Debian, Ubuntu: apt-get install python3.11-venv;" \
        "elsewhere: pyenv, conda or uv), or name it: DIFFICULTY_CALIB_PYTHON=/path/to/python3.11"
}
