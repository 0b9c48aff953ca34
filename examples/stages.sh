# Sourced by the entry scripts: run a stage once, under a time limit, with its log in $run/logs, and say how it went.
#
# A stage is done when it ended well, with the same command and after the same runs of the stages before it, and its output is
# there: $run/stages/<stage>.json then holds its wall seconds and the hash of command and earlier stages.

made_from="" # hash over what the stages before made

# depends_on FILE_OR_DIRECTORY...: all stages from here on are done again when one of these changes. A file counts by its
# content, a directory (a model) by its files' names, sizes and times; a name on a hub by itself.
depends_on() {
    local path
    for path in "$@"; do
        made_from=$({
            echo "$made_from $path"
            if [[ -d "$path" ]]; then find "$path" -type f -printf '%f %s %T@\n' | sort; elif [[ -f "$path" ]]; then cat "$path"; fi
        } | sha256sum)
    done
}

_run_stage() { # _run_stage VIEW STAGE SECONDS COMMAND...: VIEW shows the output that comes in on stdin and keeps it in the log
    local view=$1 stage=$2 limit=$3 started=$SECONDS status=0
    shift 3
    local log=$run/logs/$stage.log
    echo "[$stage] $(date +%T) started, log: ${log#"$PWD/"}"
    : >"$log"
    timeout --kill-after=30 "$limit" "$@" 2>&1 </dev/null | "$view" "$log" || status=${PIPESTATUS[0]}
    if ((status != 0)); then
        echo "[$stage] last lines of its log:" >&2
        grep -v '^\s*$' "$log" | tail -n 12 | cut -c1-400 | sed 's/^/  | /' >&2
        local reason="exit code $status"
        ((status == 124 || status == 137)) && reason="ran past its limit of $limit s, or was killed"
        reason=$(grep -aoE '(^error|[A-Za-z]+(Error|Exception)): .+' "$log" | tail -n 1 | cut -c1-600 || true)${reason:+ ($reason)}
        echo "FAILED: stage $stage: $reason; log: $log" >&2
        exit 1
    fi
    stage_seconds=$((SECONDS - started))
    echo "[$stage] done in $stage_seconds s"
}

_mark_done() { # _mark_done STAGE SECONDS HASH
    printf '{"stage": "%s", "seconds": %d, "made_from": "%s", "ended": "%s"}\n' "$1" "$2" "$3" "$(date +%s.%N)" \
        >"$run/stages/.$1.tmp"
    mv "$run/stages/.$1.tmp" "$run/stages/$1.json"
}

_all_of_it() { tee "$1"; }
_step_lines() { python -m recipe.difficulty_calib.progress "$1"; }

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
    [[ -e "$output" ]] || { echo "FAILED: stage $stage ended well but left no $output" >&2 && exit 1; }
    _mark_done "$stage" "$stage_seconds" "$hash"
    made_from=$(sha256sum <"$run/stages/$stage.json")
}

# stage NAME OUTPUT SECONDS COMMAND...: run it unless it is done; all of its output is shown.
stage() { _stage_with _all_of_it "$@"; }

# training_stage NAME OUTPUT SECONDS COMMAND...: the same, showing a line a training step. verl resumes from the checkpoints
# in the output's folder; those that were trained on other inputs are removed.
training_stage() {
    local folder
    folder=$(dirname "$2")
    mkdir -p "$folder"
    if [[ -e "$folder/.made_from" && "$(<"$folder/.made_from")" != "$made_from" ]]; then
        echo "[$1] an earlier stage ran again: training anew"
        rm -rf "$folder"
        mkdir -p "$folder"
    fi
    echo "$made_from" >"$folder/.made_from"
    _stage_with _step_lines "$@"
}

# always NAME SECONDS COMMAND...: run it every time.
always() { _run_stage _all_of_it "$@"; }
