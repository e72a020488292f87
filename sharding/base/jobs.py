"""What a launcher and the work that it starts agree on; neither knows the other. Anyone may import this."""

JOBS = "jobs"
"""Folder in a run or dataset: scripts and logs of its SLURM jobs. No part of it, and never touched by the work."""
STOP_FILE = "AVSYNC_STOP_FILE"
"""Environment variable: the path of a file that is a wish to save and leave when it exists."""
