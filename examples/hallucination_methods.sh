#!/usr/bin/env bash
# All rows of Table 3 on the pocket model: the main job's (base, SFT, R-Tuning, RL on
# both backbones, VCD), OPERA, and HA-DPO, POVID, RLAIF-V and Less-is-more, which are
# trained here on the base.
#
#   bash examples/hallucination_methods.sh              the main job first, as far as it is not done
#                                                       (outputs/pocket-seed0)
#   bash examples/hallucination_methods.sh --quick      the same in a few steps
#   bash examples/hallucination_methods.sh RUN_DIR      a run of the main job as it is: stage one is
#                                                       needed, of models those that are there get
#                                                       a row
#
# HA-DPO and POVID learn from the pocket's versions of their data, RLAIF-V from stage one's Better
# and Worse, Less-is-more from its sft.parquet. The table and the paired differences from the base
# are in RUN_DIR/hallucination/hallucination.md and differences.md, and in RUN_DIR/report.html.
#
# RUN, SEED, RULE, ...  as of the main job, where it is run; RUN_DIR brings its own
# N=2000 IMAGES=300     preferences of HA-DPO and POVID each; images a benchmark
# STEPS=60 BATCH=32     of each training
# RATES="NAME=RATE ..." learning rates in place of those below: how they were chosen stands in
#                       recipe/difficulty_calib/preference/README.md
#
# The same command goes on where an interrupted one stopped: what is done is not done again.
set -euo pipefail

main() {
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    echo "FAILED: $*" >&2
    exit 1
}
declare -A rate=([ha_dpo]=3e-4 [povid]=1e-3 [rlaif_v]=1e-4 [less_is_more]=1e-3)
quick=()
case "${1:-}" in
    -h | --help) sed -n '2,/^[^#]/s/^# \{0,1\}//p' examples/hallucination_methods.sh && exit ;;
    --quick) quick=(--quick) && shift ;;
    -*) fail "there is no option $1; --help tells what there is" ;;
esac
(($# <= 1)) || fail "$2: one run folder is enough; variables such as SEED=1 stand before bash"
for pair in ${RATES:-}; do
    [[ "$pair" == *=* && -n "${rate[${pair%%=*}]:-}" ]] ||
        fail "RATES: '$pair' is not NAME=RATE with NAME of ${!rate[*]}"
    rate[${pair%%=*}]=${pair#*=}
done
if (($# == 0)); then
    PROFILE=pocket bash examples/run_llava_grpo.sh "${quick[@]}"
    run=$PWD/outputs/${RUN:-pocket$([[ -z "${quick[*]}" ]] || echo -quick)-seed${SEED:-0}}
else
    ((${#quick[@]} == 0)) || fail "--quick is of the main job: RUN_DIR brings its own size"
    [[ -d "$1" ]] ||
        fail "there is no folder $1: name outputs/RUN of the main job," \
            "or leave it out to run that first"
    run=$(realpath "$1")
fi

# Whichever set of packages is installed will do.
[[ ! -f .venv/.device ]] ||
    export DIFFICULTY_CALIB_DEVICE=${DIFFICULTY_CALIB_DEVICE:-$(<.venv/.device)}
. examples/setup.sh
# setting NAME DEFAULT: of the run's config.json.
setting() { python -c 'import json, pathlib, sys
path = pathlib.Path(sys.argv[1])
settings = json.loads(path.read_text()) if path.is_file() else {}
print(settings.get(sys.argv[2]) or sys.argv[3])' "$run/config.json" "$@"; }
profile=$(setting profile pocket) seed=$(setting seed "${SEED:-0}")
data=$(setting data "$run/stage_one") model=$(setting model data_prep/pocket/base_model)
rules=$(setting rules "") was_quick=$(setting quick false)
[[ "$profile" == pocket ]] ||
    fail "$run is a run of $profile, and these are the pocket's data and benchmarks: for a model" \
        "of yours train by \`python -m recipe.difficulty_calib.preference\`" \
        "and ask by \`python -m eval hallucination\`"
[[ "$model" != *+* ]] ||
    fail "its model is $model: merge the adapter first, the methods put their own on it"
for file in {pairs.jsonl,splits.jsonl,sft.parquet}; do
    [[ -f "$data/$file" ]] || fail "$data holds no $file: finish the main job in $run first"
done
max_tokens=64
if [[ "$was_quick" == true ]]; then n=16 steps=2 images=6; else n=2000 steps=60 images=300; fi
size=(--steps "${STEPS:-$steps}" --batch-size "${BATCH:-32}" --seed "$seed")
mkdir -p "$run"/{stages,logs,models}
. examples/stages.sh
. examples/last_stages.sh
lock_run
depends_on "$model" "$data/pairs.jsonl" "$data/splits.jsonl" "$data/sft.parquet"
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1 TOKENIZERS_PARALLELISM=false
work=$run/methods
mkdir -p "$work"

# 1. Data.
stage published "$work/published/povid/povid.json" 600 \
    python -m data_prep.pocket preferences --out "$work/published" --seed "$seed" -n "${N:-$n}"
for name in ha_dpo povid; do
    stage "${name}_data" "$work/$name.parquet" 600 \
        python -m data_prep.preferences "$name" "$work/published/$name" --out "$work/$name.parquet"
done
stage rlaif_v_data "$work/rlaif_v.parquet" 600 \
    python -m data_prep.preferences pairs "$data" --out "$work/rlaif_v.parquet"

# 2. One adapter each.
# learn NAME METHOD DATA
learn() {
    stage "$1" "$run/models/$1/adapter_config.json" 3600 \
        bash -c 'rm -rf "$1"; shift; exec "$@"' _ "$run/models/$1" \
        python -m recipe.difficulty_calib.preference "$2" \
        --model "$model" --data "$3" --out "$run/models/$1" \
        --learning-rate "${rate[$1]}" "${size[@]}"
}
learn ha_dpo dpo "$work/ha_dpo.parquet"
learn povid povid "$work/povid.parquet"
learn rlaif_v dpo "$work/rlaif_v.parquet"
learn less_is_more less_is_more "$data/sft.parquet"

# 3. The table: what the main job asked is not asked again.
models=(--model "base=$model")
for name in sft r_tuning; do
    [[ ! -f "$run/models/$name/config.json" ]] || models+=(--model "$name=$run/models/$name")
done
for rule in $rules; do
    if [[ "$rule" == paper ]]; then rl=rl; else rl=rl_$rule; fi
    [[ -f "$run/models/sft/config.json" && -f "$run/models/$rl/adapter_config.json" ]] || continue
    models+=(--model "$rl=$run/models/sft+$run/models/$rl")
    [[ "$rule" != "${rules%% *}" ]] || models+=(--model "rl_on_base=$model+$run/models/$rl")
done
more=()
for name in vcd opera; do
    more+=("$name={\"kind\": \"transformers\", \"model\": \"$model\", \"decoding\": \"$name\"}")
done
for name in ha_dpo povid rlaif_v less_is_more; do more+=("$name=$model+$run/models/$name"); done
depends_on "$run/stages/hallucination.json"
benchmarks_stage table3_benchmarks "${IMAGES:-$images}"
hallucination_stage table3 7200 "${more[@]}"
[[ ! -d "$run/records" ]] || report_stage
cat "$run/hallucination/hallucination.md" "$run/hallucination/differences.md"
}

main "$@"; exit
