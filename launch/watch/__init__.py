"""How jobs stand, from their folders and from SLURM: status, logs, curves, and what a site does."""
