#!/usr/bin/env bash
# Does this machine run the project? Every stage of the main job once, on a randomly
# initialised LLaVA, without a hub.
#
#   bash examples/gpu_check.sh          one GPU: LLaVA-1.5's layer shapes, few layers, bf16, 576
#                                       image tokens; ten minutes
#   bash examples/gpu_check.sh --cpu    the same on a tiny model
#
# Set-up and preflight, then SFT, merge of its adapter, GRPO (weights go to vLLM after each step),
# export of its adapter, evaluation. Prints a table of what ran, tokens/s, peak memory and the
# correlation of rollout and actor, and writes it to outputs/gpu_check/gpu_check.{md,json}. Exit
# code 0: all of it ran and is as it should be.
# GRPO needs vLLM: verl 0.9.1 has no rollout by transformers.
#
# RUN=NAME                   directory under outputs/, made anew (default gpu_check, gpu_check-cpu)
# PROCESSOR=DIR              LLaVA-1.5's processor; default: the hub's copy on
#                            this disk, else one is made
# SFT_STEPS=20 GRPO_STEPS=3  fewer or more
# LIMIT=600                  seconds for all stages
set -euo pipefail

main() {
cd "$(dirname "${BASH_SOURCE[0]}")/.."
on_cpu=false
case "${1:-}" in
    --cpu) on_cpu=true ;;
    '') ;;
    -h | --help) sed -n '2,/^[^#]/s/^# \{0,1\}//p' examples/gpu_check.sh && exit ;;
    *) echo "FAILED: unknown argument '$1': there are --cpu and --help" >&2 && exit 2 ;;
esac
fail() {
    echo "FAILED: $*" >&2
    exit 1
}
# As nvidia-smi numbers them.
export CUDA_DEVICE_ORDER=${CUDA_DEVICE_ORDER:-PCI_BUS_ID}
. examples/machine.sh
$on_cpu || has_gpu ||
    fail "nvidia-smi finds no GPU here. Without one: bash examples/gpu_check.sh --cpu"
run_name=${RUN:-gpu_check$($on_cpu && echo -cpu || true)}
run=$PWD/outputs/$run_name
[[ "$run_name" != */* && "$run_name" != . && "$run_name" != .. ]] ||
    fail "RUN=$run_name names a folder in outputs/: leave out the slash"
# It is made anew: only what an earlier check left may go.
[[ ! -e "$run" || -f "$run/.gpu_check" ]] ||
    fail "$run is not of an earlier check: name another RUN, or remove it"
$on_cpu && export DIFFICULTY_CALIB_DEVICE=cpu
. examples/setup.sh

((${GRPO_STEPS:-3} >= 2)) ||
    fail "GRPO_STEPS=$GRPO_STEPS: whether an update reaches the rollouts is" \
        "seen from the second step on"
sft_steps=${SFT_STEPS:-20} grpo_steps=${GRPO_STEPS:-3} started=$SECONDS limit=${LIMIT:-600}
shipped=$PWD/data_prep/pocket/base_model
mkdir -p "$run" && touch "$run/.gpu_check"
. examples/stages.sh
lock_run
find "$run" -mindepth 1 -maxdepth 1 ! -name .lock ! -name .gpu_check -exec rm -rf {} +
mkdir -p "$run"/{stages,logs,models,records,tensorboard}

export VERL_USE_EXTERNAL_MODULES=recipe.difficulty_calib.plugin
export HYDRA_FULL_ERROR=1 TOKENIZERS_PARALLELISM=false
export RAY_USAGE_STATS_ENABLED=0 VLLM_NO_USAGE_STATS=1
export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1
if $on_cpu; then
    export VERL_PLATFORM=cpu VERL_ENGINE_DEVICE=cuda VLLM_CPU_KVCACHE_SPACE=1 GLOO_SOCKET_IFNAME=lo
    export OMP_NUM_THREADS=${OMP_NUM_THREADS:-2} OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}
    # torchrun's rendezvous listens on all of the machine's addresses: a single process needs none.
    launcher=(env RANK=0 LOCAL_RANK=0 WORLD_SIZE=1 LOCAL_WORLD_SIZE=1
        MASTER_ADDR=127.0.0.1 MASTER_PORT=0 python)
    shape=tiny profile=pocket attention=sdpa card=() sizes=() sft_sizes=() correlation=0.999
else
    export CUDA_VISIBLE_DEVICES=${CUDA_VISIBLE_DEVICES-0}
    CUDA_VISIBLE_DEVICES=${CUDA_VISIBLE_DEVICES%%,*}
    launcher=(torchrun --standalone --nproc_per_node=1)
    shape=real profile=llava_7b card=(--card "$CUDA_VISIBLE_DEVICES") correlation=0.999
    attention=$(python -m recipe.difficulty_calib.preflight --attention)
    sft_sizes=(data.max_length=1536 data.max_token_len_per_gpu=8192)
    # Few workers: each takes a CPU of Ray's.
    sizes=(data.max_response_length=128 actor_rollout_ref.actor.ppo_max_token_len_per_gpu=8192
        actor_rollout_ref.rollout.log_prob_max_token_len_per_gpu=8192
        actor_rollout_ref.ref.log_prob_max_token_len_per_gpu=8192
        actor_rollout_ref.rollout.gpu_memory_utilization=0.4
        actor_rollout_ref.rollout.max_num_seqs=64
        actor_rollout_ref.rollout.agent.num_workers=1 reward.num_workers=1
        transfer_queue.backend.SimpleStorage.num_data_storage_units=1)
fi
left() { echo $((limit - (SECONDS - started) > 1 ? limit - (SECONDS - started) : 1)); }

python -m recipe.difficulty_calib.gpu_check memory --out "$run/memory.jsonl" \
    --process $$ "${card[@]}" >"$run/logs/memory.log" 2>&1 &
trap 'ended $? '"$!" EXIT

# It may say no to the 7B run and yet all below works here: the check goes on, and is not passed.
(stage preflight "$run/logs/preflight.log" "$(left)" \
    python -m recipe.difficulty_calib.preflight --profile "$profile") || true
stage model "$run/models/base/made.json" "$(left)" \
    python -m recipe.difficulty_calib.gpu_check model --out "$run/models/base" \
    --shape "$shape" --shipped "$shipped" ${PROCESSOR:+--processor "$PROCESSOR"}
stage questions "$run/data/manifest.json" "$(left)" \
    python -m data_prep.pocket data --out "$run/data" --train 64 --test 16 --sft 128
stage answers "$run/data/sft.parquet" "$(left)" \
    python -m recipe.difficulty_calib.gpu_check answers \
    --questions "$run/data/sft_questions.parquet" --out "$run/data/sft.parquet"

TENSORBOARD_DIR=$run/tensorboard/sft training_stage \
    sft "$run/sft/latest_checkpointed_iteration.txt" "$(left)" \
    "${launcher[@]}" -m recipe.difficulty_calib.sft --config-name "${profile}_sft" \
    data.train_files="$run/data/sft.parquet" \
    data.train_batch_size=16 data.micro_batch_size_per_gpu=8 \
    model.path="$run/models/base" \
    model.override_config.attn_implementation="$attention" "${sft_sizes[@]}" \
    trainer.total_epochs=1000 \
    trainer.total_training_steps="$sft_steps" trainer.save_freq="$sft_steps" \
    trainer.default_local_dir="$run/sft" hydra.run.dir="$run/hydra/sft"
stage merge "$run/models/sft/config.json" "$(left)" \
    python -m recipe.difficulty_calib.export sft "$run/sft" "$run/models/sft" \
    --base "$run/models/base"

ones='{alpha: 1, beta: 1, gamma: 1, delta: 1}'
# A random model writes nothing that can be read, so all rewards tie: no dynamic sampling, and a
# bonus for entropy, or no weight would move and nothing could be seen of the sync.
TENSORBOARD_DIR=$run/tensorboard/grpo training_stage \
    grpo "$run/grpo/latest_checkpointed_iteration.txt" "$(left)" \
    python -m recipe.difficulty_calib.train --config-name "$profile" \
    data.train_files="$run/data/rl_train.parquet" data.val_files="$run/data/test.parquet" \
    data.train_batch_size=8 actor_rollout_ref.actor.ppo_mini_batch_size=8 "${sizes[@]}" \
    actor_rollout_ref.model.path="$run/models/sft" \
    actor_rollout_ref.model.override_config.attn_implementation="$attention" \
    actor_rollout_ref.actor.optim.lr=1.0e-3 actor_rollout_ref.actor.entropy_coeff=0.1 \
    algorithm.filter_groups.enable=false \
    reward.custom_reward_function.reward_kwargs.expert=oracle \
    +reward.custom_reward_function.reward_kwargs.default_coefficients="$ones" \
    trainer.v1.difficulty_guided.min_probs_correlation="$correlation" \
    'trainer.logger=[console,tensorboard]' \
    trainer.total_epochs=1000 \
    trainer.total_training_steps="$grpo_steps" trainer.save_freq="$grpo_steps" \
    trainer.default_local_dir="$run/grpo" hydra.run.dir="$run/hydra/grpo"
stage export "$run/models/rl/adapter_config.json" "$(left)" \
    python -m recipe.difficulty_calib.export lora "$run/grpo" "$run/models/rl"
stage evaluation "$run/records/rl.dp.jsonl" "$(left)" \
    python -m eval calibration --temperature 1.0 --max-tokens 32 --expert oracle \
    --protocols dp verbal --model "rl=$run/models/sft+$run/models/rl" \
    --questions "$run/data/test.parquet" --out "$run/records"
}

ended() { # ended STATUS SAMPLER: whatever happened, the table of it
    kill "$2" 2>/dev/null || true
    local good=0
    python -m recipe.difficulty_calib.gpu_check table "$run" \
        --sft-steps "$sft_steps" --grpo-steps "$grpo_steps" \
        --correlation "$correlation" --attention "$attention" || good=$?
    echo "also in ${run#"$PWD/"}/gpu_check.md and gpu_check.json; logs in ${run#"$PWD/"}/logs"
    (($1 != 0)) && exit "$1"
    exit "$good"
}

# One line: after main bash would read on, at the old place in a file that may have changed.
main "$@"; exit
