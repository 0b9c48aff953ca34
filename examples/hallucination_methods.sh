#!/usr/bin/env bash
# The training methods of Table 3 on the pocket model, and a row of `eval hallucination` for each.
#
#   bash examples/hallucination_methods.sh OUT [STAGE_ONE]
#
# HA-DPO and POVID learn from the pocket's versions of their data. With STAGE_ONE, the directory of a run of stage one
# (outputs/RUN/stage_one of the main job), RLAIF-V learns from its Better and Worse, Less-is-more from its sft.parquet.
# MODEL, N (preferences), STEPS, BATCH, RATE and SEED can be set before the command. A stage that is done is not done again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

main() {
[[ "${MODEL:-}" != *+* ]] || { echo "FAILED: MODEL=$MODEL: merge its adapter first, the methods put their own on it" >&2 && exit 1; }
. examples/setup.sh
out=$(realpath -m "${1:?name the directory OUT}")
stage_one=${2:-}
model=${MODEL:-data_prep/pocket/base_model}
seed=${SEED:-0}
run=$out
mkdir -p "$run"/{stages,logs,models}
. examples/stages.sh
lock_run
depends_on "$model"
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 TOKENIZERS_PARALLELISM=false
size=(--steps "${STEPS:-300}" --batch-size "${BATCH:-32}" --learning-rate "${RATE:-5e-4}" --seed "$seed")
rows=("base={\"kind\": \"transformers\", \"model\": \"$model\"}")

# learn NAME METHOD DATA: one adapter, one row.
learn() {
    stage "$1" "$run/models/$1/adapter_config.json" 3600 bash -c 'rm -rf "$1"; shift; exec "$@"' _ "$run/models/$1" \
        python -m recipe.difficulty_calib.preference "$2" --model "$model" --data "$3" --out "$run/models/$1" "${size[@]}"
    rows+=("$1={\"kind\": \"transformers\", \"model\": \"$model+$run/models/$1\"}")
}

stage published "$run/published/povid/povid.json" 600 \
    python -m data_prep.pocket preferences --out "$run/published" --seed "$seed" -n "${N:-2000}"
for name in ha_dpo povid; do
    stage "${name}_data" "$run/$name.parquet" 600 \
        python -m data_prep.preferences "$name" "$run/published/$name" --out "$run/$name.parquet"
done
learn ha_dpo dpo "$run/ha_dpo.parquet"
learn povid povid "$run/povid.parquet"
if [[ -n "$stage_one" ]]; then
    depends_on "$stage_one/pairs.jsonl" "$stage_one/sft.parquet"
    stage pairs "$run/pairs.parquet" 600 \
        python -m data_prep.preferences pairs "$stage_one" --out "$run/pairs.parquet"
    learn rlaif_v dpo "$run/pairs.parquet"
    learn less_is_more less_is_more "$stage_one/sft.parquet"
fi

stage benchmarks "$run/benchmarks/pope" 300 \
    python -m data_prep.pocket benchmarks --out "$run/benchmarks" --seed "$seed" -n "${IMAGES:-300}"
stage hallucination "$run/hallucination/hallucination.json" 3600 \
    python -m eval hallucination --models "${rows[@]}" --seed "$seed" --max-tokens 64 \
    --benchmarks objhal="$run/benchmarks/objhal" mmhal="$run/benchmarks/mmhal" pope="$run/benchmarks/pope" \
    --judge data_prep.pocket.roles:PocketExpert --out "$run/hallucination"
cat "$run/hallucination/hallucination.md"
}

main "$@"; exit
