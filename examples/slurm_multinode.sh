#!/usr/bin/env bash
#SBATCH --job-name=difficulty-calib
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=48:00:00
# The main job on several nodes of Slurm: a Ray cluster over them, then GRPO on all of
# it. examples/MULTINODE.md.
#
#   EXPERT=... CONFIG=... sbatch --nodes=2 examples/slurm_multinode.sh
#   ... examples/slurm_multinode.sh trainer.total_training_steps=120
#
# The first from the repository's root, on a shared disk; behind it any Hydra key of the GRPO stage.
#
# COMMAND="..."    what to run on the first node instead of the main job; it finds
#                  the cluster by RAY_ADDRESS
# RAY_PORT=6379    of the first node
# JOIN_LIMIT=600   seconds in which every node must have joined
set -euo pipefail

cd "${SLURM_SUBMIT_DIR:?run this by sbatch, from the root of the repository}"
. examples/setup.sh

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
first=${nodes[0]} port=${RAY_PORT:-6379}
on_node() { srun --overlap --nodes=1 --ntasks=1 --nodelist="$@"; } # on_node NAME COMMAND...
# In the background: exec, so that the process that `ended` ends is srun and no shell around it.
start_on() { exec srun --overlap --nodes=1 --ntasks=1 --nodelist="$@"; }
address=$(on_node "$first" hostname --ip-address | awk '{print $1}')

# Ray asks for a token where one lies in a user's home; nodes and driver
# must then have the same one.
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=$PWD/outputs/.ray_token_$SLURM_JOB_ID
export RAY_USAGE_STATS_ENABLED=0
mkdir -p outputs
(umask 077 &&
    python -c 'import secrets; print(secrets.token_hex(32), end="")' >"$RAY_AUTH_TOKEN_PATH")
# Read by every worker from the environment of `ray start`, as are keys of the
# expert and NCCL_SOCKET_IFNAME.
export VERL_USE_EXTERNAL_MODULES=recipe.difficulty_calib.plugin

started=()
ended() {
    kill "${started[@]}" 2>/dev/null || true
    wait "${started[@]}" 2>/dev/null || true
    rm -f "$RAY_AUTH_TOKEN_PATH"
}
trap ended EXIT

sizes=(--num-cpus="$SLURM_CPUS_PER_TASK" --num-gpus="$SLURM_GPUS_ON_NODE" --block)
start_on "$first" ray start --head --node-ip-address="$address" --port="$port" \
    --include-dashboard=false --temp-dir="/tmp/ray_$SLURM_JOB_ID" "${sizes[@]}" &
started+=($!)
export RAY_ADDRESS=$address:$port
python -m recipe.difficulty_calib.cluster --nodes 1 --within "${JOIN_LIMIT:-600}"
for node in "${nodes[@]:1}"; do
    start_on "$node" ray start --address="$RAY_ADDRESS" "${sizes[@]}" &
    started+=($!)
done
python -m recipe.difficulty_calib.cluster --nodes "${#nodes[@]}" --within "${JOIN_LIMIT:-600}"

if [[ -n "${COMMAND:-}" ]]; then
    bash -c "$COMMAND"
else
    bash examples/run_llava_grpo.sh trainer.nnodes="${#nodes[@]}" "$@"
fi
