#!/usr/bin/env bash
# Makes or reuses .venv in the repository's root. Every entry script calls it; a
# second call installs nothing.
#
#   bash examples/setup.sh      afterwards .venv/bin/python runs everything
#   . examples/setup.sh         the same, and puts .venv/bin first in this shell's PATH
#
# DIFFICULTY_CALIB_DEVICE=cpu|gpu     which set to install; default: gpu if
#                                     nvidia-smi finds one, else cpu
# DIFFICULTY_CALIB_PYTHON=PATH        the Python to build .venv with; default:
#                                     python3.11, else python3.12
# DIFFICULTY_CALIB_TORCH_INDEX=URL    where the CPU build of torch is, if the configured
#                                     registry has only the CUDA build
# DIFFICULTY_CALIB_WITHOUT="A B"      packages of the lock to go without
# DIFFICULTY_CALIB_FLASH_ATTN=compile on a GPU: compile flash-attn where no wheel fits (an hour,
#   needs nvcc); no: go without

difficulty_calib_setup() (
    set -euo pipefail
    unset PYTHONHOME PYTHONPATH
    root=$1
    venv=$root/.venv
    log=$venv/setup.log
    python=$venv/bin/python

    say() { echo "[setup] $*"; }
    fail() {
        echo "[setup] FAILED: $*" >&2
        exit 1
    }
    show_log_and_fail() {
        { grep -v 'is ignored: it is neither' "$log" | tail -n 15 |
            sed 's/^/[setup] | /' >&2; } || true
        fail "$* (the whole log: $log). Run the same command again to go on from here."
    }
    # shellcheck source=examples/machine.sh
    . "$root/examples/machine.sh"

    # All that the environment was made from, its place among it: an editable
    # install holds absolute paths.
    fingerprint() {
        {
            echo "$device $root ${DIFFICULTY_CALIB_WITHOUT:-} ${DIFFICULTY_CALIB_FLASH_ATTN:-}"
            cat "$lock" "$root/pyproject.toml" "$root/requirements/torchvision_cpu_schemas.py" \
                "$root/examples/setup.sh"
        } | { sha256sum 2>/dev/null || shasum -a 256; } | cut -d ' ' -f 1
    }

    check_disk() {
        local need_gb=$1 free_kb
        free_kb=$(df -Pk "$root" | awk 'NR == 2 {print $4}')
        ((free_kb >= need_gb * 1024 * 1024)) ||
            fail "$root has $((free_kb / 1024 / 1024)) GB free; $need_gb GB are needed"
    }

    make_venv() {
        local interpreter minutes size_gb
        if [[ $device == cpu ]]; then minutes=three size_gb=4; else minutes=fifteen size_gb=20; fi
        check_disk $((size_gb + 1))
        interpreter=$(find_python)
        say "creating .venv (${device^^}), about $minutes minutes, $size_gb GB"
        "$interpreter" -m venv "$venv" >>"$log" 2>&1 ||
            show_log_and_fail "python -m venv did not work"
        echo "$device" >"$venv/.device"
    }

    pip_install() { # pip_install WHAT ARGUMENT...: run pip, and say every half minute how far it is
        local what=$1 started=$SECONDS pid
        shift
        echo "=== $what: pip install $*" >>"$log"
        "$python" -m pip install --no-input --disable-pip-version-check --progress-bar off "$@" \
            >>"$log" 2>&1 &
        pid=$!
        # shellcheck disable=SC2064
        trap "kill $pid 2>/dev/null || true" EXIT
        while kill -0 "$pid" 2>/dev/null; do
            sleep 0.5
            if ((SECONDS - started >= 30 * (1 + ${told:-0}))); then
                told=$((${told:-0} + 1))
                say "  $what: $((SECONDS - started)) s, $(progress)"
            fi
        done
        told=0
        wait "$pid" || show_log_and_fail "$what did not work"
        trap - EXIT
    }
    progress() {
        awk '/^=== /{n = 0; state = "starting"}
             /^(Collecting|Processing) /{n++; state = "fetching, " n " of them found so far"}
             /^Installing collected/{state = "unpacking " n " of them"}
             END {print state}' "$log"
    }

    # The lock's lines not installed whole, less what the user goes without, and flash-attn.
    unmet() {
        local without=" ${DIFFICULTY_CALIB_WITHOUT:-} flash-attn " line
        "$python" "$root/requirements/unmet.py" "$lock" | while read -r line; do
            [[ $without == *" ${line%%==*} "* ]] || echo "$line"
        done
    }

    # First and alone: whatever CPU build pip can see must be taken, and a CUDA build noticed.
    install_torch() {
        local torch site
        torch=$(grep '^torch==' "$wanted") || return 0
        say "installing ${torch}"
        pip_install torch --no-deps --force-reinstall \
            ${DIFFICULTY_CALIB_TORCH_INDEX:+--index-url "$DIFFICULTY_CALIB_TORCH_INDEX"} "$torch"
        [[ $device == cpu ]] || return 0
        site=$(site_packages)
        sed -n 's/^Requires-Dist: \(\(nvidia\|cuda\)-[^;]*\).*/\1/p' \
            "$site"/torch-*.dist-info/METADATA | tr -d ' ()' >"$venv/cuda.txt"
        if [[ -s $venv/cuda.txt ]]; then
            say "the registry's torch is the CUDA build, so the CUDA libraries that" \
                "it loads come too (about 3 GB more);"
            say "  an index of CPU builds named in DIFFICULTY_CALIB_TORCH_INDEX avoids them"
            check_disk 8
            pip_install "CUDA libraries" -r "$venv/cuda.txt"
        fi
    }

    # pip refuses to replace a package whose unpacking ended before its RECORD was written.
    drop_halves() {
        local info
        for info in "$(site_packages)"/*.dist-info; do
            [[ ! -d $info || -f $info/RECORD ]] || rm -rf "$info"
        done
    }

    site_packages() { "$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }

    install_lock() {
        wanted=$venv/wanted.txt
        unmet >"$wanted"
        [[ -s $wanted ]] || return 0
        drop_halves
        install_torch
        unmet >"$wanted"
        say "installing $(wc -l <"$wanted" | tr -d ' ') packages (log: .venv/setup.log)"
        [[ ! -s $wanted ]] || pip_install packages --no-deps --force-reinstall -r "$wanted"
        unmet >"$wanted"
        [[ ! -s $wanted ]] ||
            fail "pip ended well, and yet these are not there whole: $(tr '\n' ' ' <"$wanted")"
    }

    install_flash_attn() { # no more than an extra: without it attention is torch's own
        local pin otherwise="" how=(--only-binary flash-attn)
        [[ $device == gpu && " ${DIFFICULTY_CALIB_WITHOUT:-} " != *" flash-attn "* ]] || return 0
        [[ ${DIFFICULTY_CALIB_FLASH_ATTN:-} != no ]] || return 0
        pin=$(grep -Eho 'flash-attn==[0-9.]+' "$lock" "$root/pyproject.toml" | head -n 1) ||
            return 0
        if [[ ${DIFFICULTY_CALIB_FLASH_ATTN:-} == compile ]]; then
            how=(--no-build-isolation) otherwise=", else compiling it, which takes an hour"
        fi
        say "looking for a wheel of $pin$otherwise"
        echo "=== flash-attn: pip install ${how[*]} $pin" >>"$log"
        "$python" -m pip install --no-input --disable-pip-version-check --no-deps \
            "${how[@]}" "$pin" >>"$log" 2>&1 ||
            say "no flash-attn (why: $log): attention is torch's sdpa." \
                "To compile it: DIFFICULTY_CALIB_FLASH_ATTN=compile"
    }

    install_torchvision_schemas() {
        local site
        [[ $device == cpu ]] || return 0
        site=$(site_packages)
        cp "$root/requirements/torchvision_cpu_schemas.py" "$site/"
        echo "import torchvision_cpu_schemas" >"$site/torchvision_cpu_schemas.pth"
    }

    device=$(choose_device)
    lock=$root/requirements/$device.txt
    stamp=$venv/.stamp
    wanted_stamp=$(fingerprint)
    if [[ -x $python && -f $stamp && $(<"$stamp") == "$wanted_stamp" ]]; then
        exit 0
    fi

    # Ray starts its workers through a shell, unquoted, and then waits for them for ever;
    # compilers fare no better.
    [[ $root != *[[:space:]]* ]] ||
        say "WARNING: $root has a space in it: tests of single parts run there, training does not"

    mkdir -p "$venv" || fail "cannot write to $root"
    # Two entry scripts started at once: the second waits for the first.
    if command -v flock >/dev/null 2>&1; then
        exec 9>"$venv/.lock"
        flock --nonblock 9 || {
            say "another set-up of this folder is running: waiting for it"
            flock 9
        }
        if [[ -x $python && -f $stamp && $(<"$stamp") == "$wanted_stamp" ]]; then
            exit 0
        fi
    fi
    rm -f "$stamp"
    if [[ -f $venv/.device && $(<"$venv/.device") != "$device" ]]; then
        say ".venv holds the $(<"$venv/.device") set and the $device set is asked for:" \
            "making it anew"
        find "$venv" -mindepth 1 -maxdepth 1 ! -name .lock -exec rm -rf {} +
    fi
    "$python" -m pip --version >/dev/null 2>&1 || make_venv
    echo "$device" >"$venv/.device"
    install_lock
    pip_install "this project" --no-deps --no-build-isolation -e "$root"
    install_torchvision_schemas
    install_flash_attn
    echo "$wanted_stamp" >"$stamp"
    say "done in $SECONDS s"
)

# Not in a list with && or ||: there bash would ignore the function's own `set -e`.
difficulty_calib_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
difficulty_calib_setup "$difficulty_calib_root"
# shellcheck disable=SC2181
if (($? != 0)); then
    # shellcheck disable=SC2317
    return 1 2>/dev/null || exit 1
fi
if [[ ${BASH_SOURCE[0]} != "$0" ]]; then
    export VIRTUAL_ENV=$difficulty_calib_root/.venv PATH=$difficulty_calib_root/.venv/bin:$PATH
fi
