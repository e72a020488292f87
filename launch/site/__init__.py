"""What is known of a cluster: its profile, and where profiles lie. No SLURM command is run here."""
