#!/bin/bash
#SBATCH --job-name=barcodemae
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=32
#SBATCH --time=24:00:00
#SBATCH --requeue
#SBATCH --open-mode=append
# Two minutes before the time is over, as at preemption, all processes get SIGTERM: they end their step and save.
#SBATCH --signal=TERM@120

# Submitted again, or put back into the queue, the job goes on where it stopped: sbatch accelerate_configs/slurm.sh
set -euo pipefail
MAIN_NODE=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export MAIN_NODE

srun bash -c 'exec accelerate launch --config_file accelerate_configs/multi_node.yaml \
    --num_machines "$SLURM_NNODES" --num_processes $((SLURM_NNODES * SLURM_GPUS_ON_NODE)) \
    --machine_rank "$SLURM_NODEID" --main_process_ip "$MAIN_NODE" --main_process_port 29500 \
    train.py --config configs/base.yaml --output-dir runs/base --resume'
