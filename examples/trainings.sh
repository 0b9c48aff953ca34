# Sourced by the main job and by run_ablation.sh, so that both train by the same commands in the
# same environment. Needed of the script: run, run_name, profile, model, seed, quick, and as_text.
# stages.sh comes before.

# What verl, Ray and vLLM need in the environment.
training_environment() {
    export VERL_USE_EXTERNAL_MODULES=recipe.difficulty_calib.plugin
    export HYDRA_FULL_ERROR=1 TOKENIZERS_PARALLELISM=false
    export RAY_USAGE_STATS_ENABLED=0 VLLM_NO_USAGE_STATS=1
    if [[ "$profile" == pocket ]]; then
        export VERL_PLATFORM=cpu VERL_ENGINE_DEVICE=cuda
        export VLLM_CPU_KVCACHE_SPACE=1 GLOO_SOCKET_IFNAME=lo
        # Threads that wait for each other sleep: by default they spin, and where other work shares
        # the cores a step of so small a model then takes three to five times the CPU time.
        export OMP_NUM_THREADS=${OMP_NUM_THREADS:-2} OMP_WAIT_POLICY=${OMP_WAIT_POLICY:-PASSIVE}
        export HF_HUB_OFFLINE=1 TRANSFORMERS_OFFLINE=1
    fi
}

# training_sizes: data_sizes, sft_size, grpo_size and eval_size are options, training_limit seconds.
# quick_batch comes from the script.
training_sizes() {
    if $quick; then
        data_sizes=(--train 64 --test 100 --sft 64 --selection 12) eval_size=(--sc-samples 2)
        sft_size=(trainer.total_training_steps=2 trainer.save_freq=2)
        grpo_size=(trainer.total_training_steps=2 trainer.save_freq=1 "${quick_batch[@]}")
        training_limit=1200
    else
        data_sizes=(--train 1500 --test 1000 --sft 3000 --selection 300) sft_size=() grpo_size=()
        eval_size=(--sc-samples "$([[ "$profile" == pocket ]] && echo 5 || echo 10)")
        training_limit=$([[ "$profile" == pocket ]] && echo 3600 || echo 259200)
    fi
}

# sft_stages NAME ROWS KEY...: train on a parquet of stage one, then $run/models/NAME. Also needed:
# gpus, sft_device. torchrun's rendezvous listens on all of the machine's addresses and unpickles
# what it is sent: a single process needs none.
sft_stages() {
    local name=$1 rows=$2 whole=() launcher=(torchrun --standalone --nproc_per_node="$gpus")
    shift 2
    [[ "$profile" == pocket ]] &&
        launcher=(env RANK=0 LOCAL_RANK=0 WORLD_SIZE=1 LOCAL_WORLD_SIZE=1
            MASTER_ADDR=127.0.0.1 MASTER_PORT=0 python)
    # R-Tuning words its tags anew, which an adapter of the pocket model does
    # not learn in so few steps.
    [[ "$profile ${rows##*/}" == "pocket r_tuning.parquet" ]] &&
        whole=(model.lora_rank=0 'checkpoint.save_contents=[model,optimizer,extra,hf_model]')
    training_stage "$name" "$run/$name/latest_checkpointed_iteration.txt" "$training_limit" \
        "${launcher[@]}" -m recipe.difficulty_calib.sft \
        --config-name "${profile}_sft" "${sft_device[@]}" \
        data.train_files="$(as_text "$rows")" model.path="$(as_text "$model")" \
        trainer.default_local_dir="$(as_text "$run/$name")" \
        trainer.experiment_name="$(as_text "$run_name-$name")" \
        trainer.seed="$seed" engine.seed="$seed" \
        hydra.run.dir="$(as_text "$run/hydra/$name")" "${whole[@]}" "${sft_size[@]}" "$@"
    stage "${name}_export" "$run/models/$name/config.json" 600 \
        python -m recipe.difficulty_calib.export sft "$run/$name" "$run/models/$name" \
        --base "$model"
}

# validate_on SELECTION TEST: each checkpoint of the GRPO trainings below is validated on questions
# of their own, and the chosen one exported; without such questions, the last one.
validate_on() {
    local keys
    keys=$(python -m recipe.difficulty_calib.selection "$1" "$2")
    mapfile -t validation <<<"$keys"
}

# grpo_stages NAME FOLDER RULE START KEY...: train the model START by a rule, then
# $run/models/NAME, an adapter. Also needed: data, device, hydra_expert.
grpo_stages() {
    local name=$1 folder=$2 rule=$3 start=$4 reward=reward.custom_reward_function.reward_kwargs
    shift 4
    mkdir -p "$run/curves/$name"
    export VERL_FILE_LOGGER_PATH=$run/curves/$name/$(date +%s).jsonl
    training_stage "$name" "$folder/latest_checkpointed_iteration.txt" "$training_limit" \
        python -m recipe.difficulty_calib.train \
        --config-name "$profile" "${device[@]}" rule="$rule" \
        data.train_files="$(as_text "$data/rl_train.parquet")" "${validation[@]}" \
        data.seed="$seed" \
        "$reward.coefficients=$(as_text "$data/coefficients.yaml")" \
        "$reward.expert=$hydra_expert" \
        actor_rollout_ref.model.path="$(as_text "$start")" actor_rollout_ref.rollout.seed="$seed" \
        actor_rollout_ref.actor.fsdp_config.seed="$seed" \
        trainer.default_local_dir="$(as_text "$folder")" \
        trainer.experiment_name="$(as_text "$run_name-$name")" \
        hydra.run.dir="$(as_text "$run/hydra/$name")" "${grpo_size[@]}" "$@"
    stage "${name}_export" "$run/models/$name/adapter_config.json" 1200 \
        python -m recipe.difficulty_calib.export lora "$folder" "$run/models/$name"
}
