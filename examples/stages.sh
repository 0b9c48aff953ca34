# Sourced by the entry scripts: run a stage once, under a time limit, with its log in
# $run/logs, and say how it went.
#
# A stage is done when it ended well, with the same command and after the same runs of the stages
# before it, and its output is there: $run/stages/<stage>.json then holds its wall seconds and the
# hash of command and earlier stages.

made_from="" # hash over what the stages before made

# depends_on FILE_OR_DIRECTORY...: all stages from here on are done again when one of these
# changes. A file counts by its content, a directory (a model) by its files' names, sizes and
# times; a name on a hub by itself.
depends_on() {
    local path
    for path in "$@"; do
        made_from=$({
            echo "$made_from $path"
            if [[ -d "$path" ]]; then
                find "$path" -type f -printf '%f %s %T@\n' | sort
            elif [[ -f "$path" ]]; then
                cat "$path"
            fi
        } | sha256sum)
    done
}

# lock_run: one script at a time in $run. The lock is held by this shell and the stage that it
# runs, and goes with them.
lock_run() {
    command -v flock >/dev/null 2>&1 || return 0
    exec 8>>"$run/.lock"
    flock --nonblock 8 || {
        echo "FAILED: $run is in use by $(<"$run/.lock")." \
            "Wait for it, end it, or name another run: RUN=NAME" >&2
        exit 1
    }
    echo "process $$ since $(date '+%F %T')" >"$run/.lock"
}

# _run_stage VIEW STAGE SECONDS COMMAND...: VIEW is "--steps" for a line a training step, else "".
_run_stage() {
    local view=$1 stage=$2 limit=$3 started=$SECONDS status=0
    shift 3
    local log=$run/logs/$stage.log
    echo "[$stage] $(date +%T) started, log: ${log#"$PWD/"}"
    echo "=== $(date '+%F %T') $*" >>"$log"
    python -m recipe.difficulty_calib.stage --parent "$BASHPID" --limit "$limit" --log "$log" \
        ${view:+"$view"} -- "$@" || status=$?
    if ((status == 129 || status == 130 || status == 143)); then
        echo "FAILED: stage $stage was interrupted." \
            "The same command goes on from here; log: $log" >&2
        exit "$status"
    fi
    if ((status != 0)); then
        # Of this call. No command reads a part of what another writes: that one would die of the
        # closed pipe, and with pipefail the script, without a word.
        local said from
        from=$(grep -an '^=== ' "$log" | tail -n 1 | cut -d: -f1)
        said=$(tail -n "+$from" "$log" | grep -av '^\s*$')
        echo "[$stage] last lines of its log:" >&2
        tail -n 12 <<<"$said" | cut -c1-400 | sed 's/^/  | /' >&2
        local reason="exit code $status"
        ((status == 124 || status == 137)) && reason="ran past its limit of $limit s, or was killed"
        local found
        found=$(grep -aoE '(^error|[A-Za-z]+(Error|Exception)): .+' <<<"$said" |
            tail -n 1 | cut -c1-600 || true)
        reason="$found${reason:+ ($reason)}"
        echo "FAILED: stage $stage: $reason; log: $log" >&2
        exit 1
    fi
    stage_seconds=$((SECONDS - started))
    echo "[$stage] done in $stage_seconds s"
}

_mark_done() { # _mark_done STAGE SECONDS HASH
    printf '{"stage": "%s", "seconds": %d, "made_from": "%s", "ended": "%s"}\n' \
        "$1" "$2" "$3" "$(date +%s.%N)" >"$run/stages/.$1.tmp"
    mv "$run/stages/.$1.tmp" "$run/stages/$1.json"
}

_stage_with() { # _stage_with VIEW STAGE OUTPUT SECONDS COMMAND...
    local view=$1 stage=$2 output=$3 limit=$4
    shift 4
    local hash
    hash=$(printf '%s\0' "$made_from" "$@" | sha256sum | cut -c1-16)
    if [[ -e "$output" ]] && grep -qs "\"$hash\"" "$run/stages/$stage.json"; then
        echo "[$stage] already done"
        made_from=$(sha256sum <"$run/stages/$stage.json")
        return
    fi
    _run_stage "$view" "$stage" "$limit" "$@"
    [[ -e "$output" ]] || {
        echo "FAILED: stage $stage ended well but left no $output" >&2
        exit 1
    }
    _mark_done "$stage" "$stage_seconds" "$hash"
    made_from=$(sha256sum <"$run/stages/$stage.json")
}

# stage NAME OUTPUT SECONDS COMMAND...: run it unless it is done; all of its output is shown.
stage() { _stage_with "" "$@"; }

# training_stage NAME OUTPUT SECONDS COMMAND...: the same, showing a line a training step. verl
# resumes from the checkpoints in the output's folder. Those of another training (other inputs,
# another reward rule, expert, learning rate, ...) are set aside: verl would resume from them, or
# find all steps done, and report them as if they were this command's.
training_stage() {
    local folder training
    folder=$(dirname "$2")
    training=$(_training_hash "${@:4}")
    mkdir -p "$folder"
    if [[ -e "$folder/.made_from" && "$(<"$folder/.made_from")" != "$training" ]]; then
        local aside
        aside=$folder.before-$(date +%Y%m%d-%H%M%S)
        mv "$folder" "$aside"
        mkdir -p "$folder"
        echo "[$1] its inputs or options changed: training anew." \
            "What was there is now ${aside#"$PWD/"}"
    fi
    echo "$training" >"$folder/.made_from"
    # verl unpickles what it resumes from.
    python -m data_prep.engines.pickled_shards "$folder" || exit 1
    _stage_with --steps "$@"
}

# _training_hash COMMAND...: of what a training is made from, the stages before and the command,
# less what only says how far it goes.
_training_hash() {
    local argument kept=()
    for argument in "$@"; do
        case "$argument" in
            trainer.total_training_steps=* | trainer.total_epochs=*) ;;
            trainer.save_freq=* | trainer.test_freq=* | trainer.logger=*) ;;
            hydra.*) ;;
            *) kept+=("$argument") ;;
        esac
    done
    printf '%s\0' "$made_from" "${kept[@]}" | sha256sum | cut -c1-16
}

# always NAME SECONDS COMMAND...: run it every time.
always() { _run_stage "" "$@"; }
