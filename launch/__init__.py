"""From a person's wish to running work: the command line, and (later) SLURM jobs."""
