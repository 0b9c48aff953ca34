#!/usr/bin/env bash
# The ablation on the pocket model: what each part of the method brings. The rows stand in
# examples/ablation.yaml; a line more is a row more.
#
#   bash examples/run_ablation.sh               every row: about 24 hours on two cores (estimated
#                                               from the times of single trainings)
#   bash examples/run_ablation.sh --list        the rows, what each starts from, their hours
#   bash examples/run_ablation.sh --only "sft_own own_segments" --seeds "0 1 2"
#   bash examples/run_ablation.sh --quick --only own_segments      the same in a few steps
#
# --only "NAMES"   these rows, and those that they start from; the table has no others
# --seeds "N ..."  each of the rows on these seeds; by default those on which a claim rests (main)
#                  on 0, 1 and 2, the others on 0
# --test N         held-out questions a model (default 3000; with --quick 100)
# RUN=NAME         directory under outputs/ (default: ablation, or ablation-quick)
# ROWS=YAML        another table of rows
# PREFLIGHT=warn   go on whatever the table of needs says
#
# Stage one runs once a seed, and its last steps once more for each other target of SFT. Trainings
# are those of examples/run_llava_grpo.sh. At the end outputs/RUN/ has ablation.md and ablation.csv
# (each model beside the one it starts from, seeds side by side) and figures/.
#
# The same command goes on where an interrupted one stopped. One Ctrl-C, or a kill of the script,
# ends all that it started within half a minute.
set -euo pipefail

main() {
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    echo "FAILED: $*" >&2
    exit 1
}
quick=false list=false only="" seeds=() test=""
while (($#)); do
    case "$1" in
        -h | --help) sed -n '2,/^[^#]/s/^# \{0,1\}//p' examples/run_ablation.sh && exit ;;
        --quick) quick=true ;;
        --list) list=true ;;
        --only | --seeds | --test)
            (($# > 1)) || fail "$1 needs a value; --help tells which"
            case "$1" in
                --only) only=$2 ;;
                --seeds) seeds=(--seeds "$2") ;;
                --test) test=$2 ;;
            esac
            shift ;;
        *) fail "there is no option $1; --help tells what there is" ;;
    esac
    shift
done
case "${PREFLIGHT:-}" in
    '' | warn) ;;
    *) fail "PREFLIGHT is warn or not set, got '$PREFLIGHT'" ;;
esac
rows=${ROWS:-examples/ablation.yaml}
out_name=${RUN:-ablation$($quick && echo -quick || true)}
[[ "$out_name" != */* && "$out_name" != . && "$out_name" != .. ]] ||
    fail "RUN=$out_name names a folder in outputs/: leave out the slash"
[[ "$PWD" != *" "* ]] ||
    fail "Ray cannot start workers from a path with a space: move the repository out of '$PWD'"
# Its vLLM is another build than the GPU's.
[[ -n "${DIFFICULTY_CALIB_DEVICE:-}" || "$(cat .venv/.device 2>/dev/null)" != gpu ]] ||
    fail "the pocket model trains on the CPU set, and .venv holds the GPU set:" \
        "DIFFICULTY_CALIB_DEVICE=cpu puts it in its place"
export DIFFICULTY_CALIB_DEVICE=${DIFFICULTY_CALIB_DEVICE:-cpu}
. examples/setup.sh

chosen=(--rows "$rows" --only "$only" "${seeds[@]}")
if $list; then
    python -m recipe.difficulty_calib.ablation list "${chosen[@]}" ${test:+--test "$test"}
    exit
fi
test=${test:-$($quick && echo 100 || echo 3000)}
plan=$(python -m recipe.difficulty_calib.ablation plan "${chosen[@]}" --test "$test")
mapfile -t plan <<<"$plan"

out=$PWD/outputs/$out_name run=$PWD/outputs/$out_name
profile=pocket model=data_prep/pocket/base_model config=data_prep/configs/pocket.yaml max_tokens=64
gpus=1 device=() sft_device=() quick_batch=()
$quick && quick_batch=(data.train_batch_size=8 actor_rollout_ref.actor.ppo_mini_batch_size=8)
hydra_expert=$(EXPERT=oracle python -m recipe.difficulty_calib.variables expert)
as_text() { python -m recipe.difficulty_calib.variables text "$1"; }
python -m recipe.difficulty_calib.preflight ${PREFLIGHT:+"--$PREFLIGHT"} \
    --profile pocket --model "$model" --out "$out" || exit 1
mkdir -p "$out"/{logs,figures}
. examples/stages.sh
. examples/trainings.sh
lock_run
training_environment
training_sizes
cp "$rows" "$out/rows.yaml"

# A row follows what it starts from and its seed's data alone: what is done again for one leaves
# the others as they are. So each begins with the `made_from` of its start.
declare -A after
held_out="" last_seed=""

# begin_seed: stage one, and questions that no training and no choice of a setting has seen.
begin_seed() {
    run=$out/seed$seed run_name=$out_name-seed$seed data=$out/seed$seed/stage_one
    roots=("datasets[0].root=$run/questions")
    mkdir -p "$run"/{stages,logs,models,records}
    export TENSORBOARD_DIR=$run/tensorboard
    made_from="" after=()
    stage held_out "$run/held_out/manifest.json" 600 \
        python -m data_prep.pocket data --out "$run/held_out" --seed $((seed + 29000)) \
        --train 10 --sft 10 --selection 10 --test "$test"
    held_out=$made_from made_from=""
    depends_on "$model" "$config"
    after[base]=$made_from
    stage questions "$run/questions/manifest.json" 600 \
        python -m data_prep.pocket data --out "$run/questions" --seed "$seed" "${data_sizes[@]}"
    stage_one own "$data" "$data/rl_train.parquet"
    after[stage_one]=$made_from
    validate_on "$run/questions/selection.parquet" "$data/test.parquet"
}

# stage_one TARGET FOLDER FILE: what SFT's data state.
stage_one() {
    stage "${2##*/}" "$3" "$training_limit" \
        python -m data_prep run "$config" --out "$2" model="$model" seed="$seed" "${roots[@]}" \
        sft.confidence="$1"
}

# another_target TARGET: in a copy of stage one, whose steps before SFT's data are as they were.
another_target() {
    local folder=$run/stage_one_$1
    stage "copy_$1" "$folder/manifest.json" 600 \
        bash -c 'rm -rf "$2" "$2.partial" && cp -r "$1" "$2.partial" && mv "$2.partial" "$2"' \
        _ "$data" "$folder"
    stage_one "$1" "$folder" "$folder/sft.parquet"
}

train_sft() {
    made_from=${after[stage_one]}
    case "$learns" in
        own) sft_stages "$name" "$data/sft.parquet" "${keys[@]}" ;;
        r_tuning) sft_stages "$name" "$data/r_tuning.parquet" "${keys[@]}" ;;
        *)
            another_target "$learns"
            sft_stages "$name" "$run/stage_one_$learns/sft.parquet" "${keys[@]}" ;;
    esac
    spec=$run/models/$name
}

train_grpo() {
    local from=$model
    [[ "$start" == base ]] || from=$run/models/$start
    made_from=${after[$start]}
    [[ "$start" != base ]] || made_from=${after[stage_one]}
    grpo_stages "$name" "$run/grpo_$name" "$learns" "$from" "${keys[@]}"
    spec=$from+$run/models/$name
}

evaluate() {
    local asked=(verbal) protocol
    [[ "$protocols" == verbal ]] || asked=(dp sc pcr verbal verbal_asked vcap tags)
    made_from="$held_out ${after[$name]}"
    stage "evaluation_$name" "$run/records/$name.verbal.jsonl" $((training_limit + 3 * test)) \
        python -m eval calibration --temperature 1.0 --seed "$seed" --max-tokens "$max_tokens" \
        --expert oracle "${eval_size[@]}" --protocols "${asked[@]}" \
        --model "$name=$spec" --questions "$run/held_out/test.parquet" --out "$run/records"
    # The baseline that everyone tries first: a fitted map, in five folds of the questions.
    [[ "$name" == base ]] || return 0
    for protocol in "${asked[@]}"; do
        # To confidences that are all alike none can be fitted: no reason to end here.
        (stage "isotonic_$protocol" "$run/records/base.$protocol+isotonic.jsonl" 300 \
            python -m eval posthoc --records "$run/records" --model base \
            --protocol "$protocol" --folds 5 --seed "$seed") || {
            (($? < 128)) || exit 130
            echo "[isotonic_$protocol] no map of it: the table goes without" >&2
        }
    done
}

# 1. Each row of each seed: train it, ask it.
models=() records=()
for line in "${plan[@]}"; do
    IFS=$'\t' read -r seed name start kind learns protocols keys <<<"$line"
    read -r -a keys <<<"$keys"
    if [[ "$seed" != "$last_seed" ]]; then
        begin_seed
        last_seed=$seed
        records+=("seed$seed=$run/records")
    fi
    spec=$model
    case "$kind" in
        sft) train_sft ;;
        grpo) train_grpo ;;
    esac
    [[ "$kind" == base ]] || after[$name]=$made_from
    evaluate
    [[ "$kind" == base ]] && row=base || row=$name=$start
    [[ " ${models[*]} " == *" $row "* ]] || models+=("$row")
done

# 2. One table, and a figure of each kind a seed.
run=$out
for place in "${records[@]}"; do
    seed=${place%%=*} shown=(base) coefficients=()
    for line in "${plan[@]}"; do
        IFS=$'\t' read -r of name _ <<<"$line"
        [[ "seed$of" == "$seed" ]] || continue
        [[ "$line" != *$'\tall\t'* || "$name" == base ]] || shown+=("$name")
        dynamic=${name%_fixed}
        [[ "$name" == "$dynamic" || " ${plan[*]}" != *" $of"$'\t'"$dynamic"$'\t'* ]] ||
            coefficients+=("$dynamic" "$name")
    done
    always "reliability_$seed" 1800 python -m eval figure reliability --records "${place#*=}" \
        --models "${shown[@]}" --out "$out/figures/$seed"
    ((${#coefficients[@]} == 0)) ||
        always "fixed_dynamic_$seed" 1800 python -m eval figure fixed-dynamic \
            --records "${place#*=}" --models "${coefficients[@]}" --out "$out/figures/$seed"
done
always table 3600 python -m eval ablation --records "${records[@]}" \
    --models "${models[@]}" --out "$out/ablation.md" "$out/ablation.csv"
echo "table: $out/ablation.md (also ablation.csv; figures/SEED/)"
}

main "$@"; exit
