#!/usr/bin/env bash
# The main job: stage one -> SFT (and R-Tuning, a baseline) -> GRPO -> evaluation -> report,
# in outputs/<run>/.
#
#   bash examples/run_llava_grpo.sh                       CPU: the pocket LLaVA; GPU: LLaVA-1.5-7B
#   bash examples/run_llava_grpo.sh --quick               the same in a few steps
#   bash examples/run_llava_grpo.sh trainer.total_training_steps=120
#                                                       any Hydra key of the GRPO stage
#
# RUN=NAME       directory under outputs/ (default: the profile, with -quick and the seed)
# PROFILE=NAME   pocket (default without a GPU), llava_7b (default with one)
# RULE="NAMES"   of paper, proper, log, segments, one training each (default: "paper segments" on
#                pocket, paper on a GPU); none: SFT and its evaluation alone
# SEED=N         of data, training and evaluation (default 0)
# MODEL=DIR      the base model (default: the shipped pocket LLaVA;
#                llava-hf/llava-1.5-7b-hf on a GPU)
# CONFIG=YAML    of stage one: datasets, experts, splits (pocket: data_prep/configs/pocket.yaml;
#                elsewhere this or DATA is to be named)
# DATA=DIR       a finished run of stage one (`python -m data_prep run CONFIG --out DIR`), instead
#                of making one
# EXPERT=JSON    who judges answers in reward and evaluation: on pocket oracle by default;
#                elsewhere to be named, for instance '{"kind": "openai", "model": "gpt-4o"}'; stage
#                one's experts stand in its own configuration
# SFT_ARGS="..." Hydra keys of the SFT stages
# PREFLIGHT=warn go on whatever the table of needs says
#                (python -m recipe.difficulty_calib.preflight)
#
# It runs on the GPUs that CUDA_VISIBLE_DEVICES leaves visible.
#
# The same command goes on where an interrupted one stopped: a stage whose output is whole is
# skipped, GRPO resumes from its last checkpoint. One Ctrl-C, or a kill of the script, ends all
# that it started within half a minute.
set -euo pipefail

# In a function, so that bash has read all of it before it starts: the file may
# be edited while it runs.
main() {
cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    echo "FAILED: $*" >&2
    exit 1
}
quick=false
case "${1:-}" in
    --quick) quick=true && shift ;;
    -h | --help) sed -n '2,/^[^#]/s/^# \{0,1\}//p' examples/run_llava_grpo.sh && exit ;;
esac
for argument in "$@"; do
    case "$argument" in
        [A-Z]*=*)
            fail "${argument%%=*} is a variable: write it before bash," \
                "$argument bash examples/run_llava_grpo.sh"
            ;;
        trainer.n_gpus_per_node=*)
            fail "$argument: CUDA_VISIBLE_DEVICES says which GPUs are used, in SFT too"
            ;;
        [a-z+~]*=* | '~'*) ;;
        *)
            fail "'$argument' is no Hydra key with its value;" \
                "--quick comes first, --help tells the rest"
            ;;
    esac
done
case "${PREFLIGHT:-}" in
    '' | warn) ;;
    *) fail "PREFLIGHT is warn or not set, got '$PREFLIGHT'" ;;
esac
[[ "$PWD" != *" "* ]] ||
    fail "Ray cannot start workers from a path with a space: move the repository out of '$PWD'"

# What can be refused is refused here, before anything is installed. GPUs are
# numbered as nvidia-smi does.
export CUDA_DEVICE_ORDER=${CUDA_DEVICE_ORDER:-PCI_BUS_ID}
. examples/machine.sh
if [[ -x .venv/bin/python ]]; then bare_python=.venv/bin/python; else bare_python=$(find_python); fi
preflight() { "$bare_python" -m recipe.difficulty_calib.preflight "$@"; }
# Standard output of a failed command in an assignment ends the script, which a
# `read <<<"$(...)"` would not.
plan=$(preflight --plan --model "${MODEL:-}")
read -r visible_gpus size <<<"$plan"
device_set=$(choose_device)
default_profile=pocket
[[ "$device_set" == gpu ]] && ((visible_gpus > 0)) && default_profile=llava_7b
seed=${SEED:-0} profile=${PROFILE:-$default_profile}
[[ "$seed" =~ ^[0-9]{1,9}$ ]] || fail "SEED=$seed is no whole number from 0 to 999999999"
[[ "${RUN:-}" != */* && "${RUN:-}" != . && "${RUN:-}" != .. ]] ||
    fail "RUN=$RUN names a folder in outputs/: leave out the slash"
if [[ -z "${PROFILE:-}" && "$profile" == pocket ]] && command -v nvidia-smi >/dev/null; then
    # A driver that fails, or a typing error: the pocket model on one's own
    # data is not what was meant.
    [[ "$device_set" != gpu || -z "${CUDA_VISIBLE_DEVICES:-}" ]] ||
        fail "CUDA_VISIBLE_DEVICES=$CUDA_VISIBLE_DEVICES names no GPU of \`nvidia-smi -L\`"
    [[ -z "${EXPERT:-}${CONFIG:-}${DATA:-}${MODEL:-}" ]] ||
        fail "no GPU can be used here; to train the pocket model on what you named: PROFILE=pocket"
fi
configs=recipe/difficulty_calib/config
[[ "$profile" != */* && -f $configs/$profile.yaml && -f $configs/${profile}_sft.yaml ]] ||
    fail "there is no profile $profile: PROFILE is one of" \
        "$(basename -as _sft.yaml $configs/*_sft.yaml | xargs)"
# Its vLLM is another build than the GPU's.
if [[ "$profile" == pocket && "$device_set" == gpu && -z "${DIFFICULTY_CALIB_DEVICE:-}" ]]; then
    [[ "$(cat .venv/.device 2>/dev/null)" != gpu ]] ||
        fail "pocket runs on the CPU set, and .venv holds the GPU set:" \
            "DIFFICULTY_CALIB_DEVICE=cpu puts it in its place"
    export DIFFICULTY_CALIB_DEVICE=cpu
fi
shipped=data_prep/pocket/base_model
expert=${EXPERT:-}
if [[ "$profile" == pocket ]]; then
    model=${MODEL:-$shipped} rules=${RULE:-paper segments} gpus=1 device=() sft_device=()
    expert=${expert:-oracle}
else
    model=${MODEL:-llava-hf/llava-1.5-7b-hf} rules=${RULE:-paper} gpus=$visible_gpus
    device=("device=$size" "trainer.n_gpus_per_node=$gpus")
    sft_device=("sft_device=$size" "trainer.n_gpus_per_node=$gpus")
    # Elsewhere than on pocket, its questions and its judge of exact strings would cost
    # hours and teach nothing.
    unnamed=()
    example='{"kind": "openai", "model": "gpt-4o"}'
    [[ -n "$expert" ]] || unnamed+=("no expert: set EXPERT, for instance to '$example'")
    if [[ -z "${CONFIG:-}${DATA:-}" ]]; then
        lacks="no questions: set CONFIG to a YAML of stage one (data_prep/configs/paper.yaml),"
        unnamed+=("$lacks or DATA to a finished run of it")
    fi
    ((${#unnamed[@]} == 0)) ||
        fail "$(printf '%s; ' "${unnamed[@]}")or PROFILE=pocket, which brings both"
fi
[[ -z "${CONFIG:-}" || -f "$CONFIG" ]] || fail "there is no file CONFIG=$CONFIG"
[[ -z "${CONFIG:-}" || -z "${DATA:-}" ]] ||
    fail "CONFIG makes stage one and DATA is a finished one: set one of them"
for file in {rl_train,test,sft,r_tuning}.parquet coefficients.yaml; do
    [[ -z "${DATA:-}" || -f "$DATA/$file" ]] ||
        fail "DATA=$DATA holds no $file:" \
            "name the --out of a finished \`python -m data_prep run CONFIG --out DIR\`"
done
[[ ! -d "$model" && "$model" != [./~]* || -f "$model/config.json" ]] ||
    fail "MODEL=$model holds no config.json: it is no model"
[[ "$expert" != "{"* ]] ||
    "$bare_python" -c 'import json, sys; json.loads(sys.argv[1])' "$expert" 2>/dev/null ||
    fail "EXPERT is not JSON: an object in braces, keys and texts in double quotes"
[[ "$rules" != *[/*?[]* ]] || fail "RULE=$rules: name rules by their names"
[[ "$rules" == none ]] && rules=""
for rule in $rules; do
    [[ -f recipe/difficulty_calib/config/rule/$rule.yaml ]] ||
        fail "there is no rule $rule: RULE is none, or of" \
            "$(basename -as .yaml recipe/difficulty_calib/config/rule/* | xargs)"
done
run_name=${RUN:-$profile$($quick && echo -quick || true)-seed$seed}
run=$PWD/outputs/$run_name
quick_batch=()
$quick && quick_batch=(data.train_batch_size=8 actor_rollout_ref.actor.ppo_mini_batch_size=8)
preflight ${PREFLIGHT:+"--$PREFLIGHT"} --profile "$profile" --model "$model" \
    --sft="${SFT_ARGS:-}" --out "$run" $([[ -n "$rules" ]] || echo --without-grpo) \
    -- "${quick_batch[@]}" "$@" || exit 1

. examples/setup.sh

if [[ "$profile" != pocket ]]; then
    attention=$(python -m recipe.difficulty_calib.preflight --attention)
    device+=("actor_rollout_ref.model.override_config.attn_implementation=$attention")
    sft_device+=("model.override_config.attn_implementation=$attention")
fi
data=${DATA:-$run/stage_one} config=${CONFIG:-data_prep/configs/pocket.yaml}
python -m recipe.difficulty_calib.variables check "$@"
hydra_expert=$(EXPERT=$expert python -m recipe.difficulty_calib.variables expert)
# In a path Hydra gives a meaning to = , ( [ ' & # and others.
as_text() { python -m recipe.difficulty_calib.variables text "$1"; }
max_tokens=$([[ "$profile" == pocket ]] && echo 64 || echo 512)
mkdir -p "$run"/{stages,logs,models,records}

. examples/stages.sh
. examples/trainings.sh
. examples/last_stages.sh
lock_run

training_environment
export TENSORBOARD_DIR=$run/tensorboard
training_sizes
read -r -a sft_args <<<"${SFT_ARGS:-}"

python -c 'import json, sys
print(json.dumps(dict(item.split("=", 1) for item in sys.argv[1:]), indent=2))' \
    profile="$profile" rules="$rules" seed="$seed" model="$model" \
    data="${data#"$PWD/"}" stage_one="$config" quick="$quick" \
    sft_args="${SFT_ARGS:-}" grpo_args="$*" >"$run/config.json"

depends_on "$model" "$config"

# 1. Stage one: sampled and verified answers, labelled pairs, difficulty,
#    splits, SFT data, verl parquet.
if [[ -z "${DATA:-}" ]]; then
    roots=()
    if [[ -z "${CONFIG:-}" ]]; then
        stage questions "$run/questions/manifest.json" 600 \
            python -m data_prep.pocket data --out "$run/questions" --seed "$seed" "${data_sizes[@]}"
        roots=("datasets[0].root=$run/questions")
    fi
    stage stage_one "$data/rl_train.parquet" "$training_limit" \
        python -m data_prep run "$config" --out "$data" model="$model" seed="$seed" "${roots[@]}"
fi

# 2. SFT, and R-Tuning on the same answers.
for name in sft r_tuning; do
    sft_stages "$name" "$data/$name.parquet" "${sft_args[@]}"
done

# 3. GRPO, once a rule.
selection=$data/selection.parquet
[[ -f "$run/questions/selection.parquet" && -z "${DATA:-}${CONFIG:-}" ]] &&
    selection=$run/questions/selection.parquet
validate_on "$selection" "$data/test.parquet"
for rule in $rules; do
    if [[ "$rule" == paper ]]; then rl=rl; else rl=rl_$rule; fi
    grpo_stages "$rl" "$run/grpo_$rule" "$rule" "$run/models/sft" "$@"
done

# 4. Evaluation on held-out questions; the first rule's adapter also on the base, as
#    the paper's "Base-LLaVA".
models=(--model "base=$model" --model "sft=$run/models/sft" --model "r_tuning=$run/models/r_tuning")
for rule in $rules; do
    if [[ "$rule" == paper ]]; then rl=rl; else rl=rl_$rule; fi
    models+=(--model "$rl=$run/models/sft+$run/models/$rl")
    [[ "$rule" == "${rules%% *}" ]] && models+=(--model "rl_on_base=$model+$run/models/$rl")
done
stage evaluation "$run/records" "$training_limit" \
    python -m eval calibration --temperature 1.0 --seed "$seed" --max-tokens "$max_tokens" \
    --expert "$expert" "${eval_size[@]}" \
    --protocols dp sc pcr verbal verbal_asked vcap tags \
    "${models[@]}" --questions "$data/test.parquet" --out "$run/records"

# The baseline that everyone tries first: the untrained base with a fitted map, in
# five folds of the questions.
stage posthoc "$run/records/base.pcr+isotonic.jsonl" 300 \
    python -m eval posthoc --records "$run/records" --model base --protocol pcr \
    --folds 5 --seed "$seed"

# Hallucination, with a row for the base decoded by VCD. OPERA takes minutes:
# hallucination_methods.sh has it.
if [[ "$profile" == pocket ]]; then
    vcd="{\"kind\": \"transformers\", \"model\": \"$model\", \"decoding\": \"vcd\"}"
    benchmarks_stage benchmarks "$($quick && echo 6 || echo 300)"
    hallucination_stage hallucination "$training_limit" "vcd=$vcd"
fi

# 5. Report.
report_stage
echo "report: $run/report.html (also report.md, report.json, tables/, reliability.png," \
    "training.png, and on pocket hallucination/hallucination.md)"
}

# One line: after main bash would read on, at the old place in a file that may have changed.
main "$@"; exit
