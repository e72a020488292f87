"""From a command line to jobs in SLURM's queue."""
