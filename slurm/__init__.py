"""What the project has about SLURM itself: profiles of sites, and a real cluster for tests and for trying things."""
