# Sourced by the main job and by hallucination_methods.sh, so that both make one table and one
# report. Needed of the script: run, model, data, seed, max_tokens, and models, an array of --model
# NAME=SPEC. stages.sh comes before.

# benchmarks_stage STAGE IMAGES: Object HalBench, MMHal-Bench and POPE of the pocket,
# from the generator's truth.
benchmarks_stage() {
    stage "$1" "$run/benchmarks/pope" 300 \
        python -m data_prep.pocket benchmarks --out "$run/benchmarks" --seed "$seed" -n "$2"
}

# hallucination_stage STAGE LIMIT NAME=SPEC...: a row for each of `models`, for each RL adapter on
# the base too, and for each NAME=SPEC, a model or JSON. No model has two rows: the first rule's
# adapter on the base is rl_on_base already.
hallucination_stage() {
    local stage_name=$1 limit=$2 named rows=()
    local -A known=()
    shift 2
    _row() {
        local name=${1%%=*} spec=${1#*=}
        [[ -z "${known[$name]:-}${known[$spec]:-}" ]] || return 0
        known[$name]=1 known[$spec]=1
        [[ "$spec" == "{"* ]] || spec="{\"kind\": \"transformers\", \"model\": \"$spec\"}"
        rows+=("$name=$spec")
    }
    for named in "${models[@]}"; do [[ "$named" == --model ]] || _row "$named"; done
    for named in "${models[@]}"; do
        [[ "$named" != rl*="$run/models/sft+"* ]] ||
            _row "${named%%=*}_on_base=$model+${named#*"$run/models/sft+"}"
    done
    for named in "$@"; do _row "$named"; done
    stage "$stage_name" "$run/hallucination/hallucination.json" "$limit" \
        python -m eval hallucination --models "${rows[@]}" \
        --seed "$seed" --max-tokens "$max_tokens" \
        --benchmarks objhal="$run/benchmarks/objhal" mmhal="$run/benchmarks/mmhal" \
        pope="$run/benchmarks/pope" --views asserted hedged \
        --judge data_prep.pocket.roles:PocketExpert --out "$run/hallucination"
}

# report_stage: report.html and all beside it.
report_stage() {
    local hallucination=()
    [[ ! -f "$run/hallucination/tables.json" ]] ||
        hallucination=(--hallucination "$run/hallucination")
    always report 900 python -m eval report "${hallucination[@]}" \
        --records "$run/records" --out "$run" --questions "$data/test.parquet" \
        --config "$run/config.json" --stages "$run/stages" --curves "$run/curves" \
        --coefficients "$data/coefficients.yaml"
}
