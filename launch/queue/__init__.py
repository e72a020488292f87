"""SLURM's own commands: what they say of jobs and partitions, as typed facts."""
