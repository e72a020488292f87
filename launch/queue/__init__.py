"""SLURM's own programs, each asked in one way and read into records; nobody else runs them but sbatch and srun.

In: job numbers, names of users and partitions. Out: records, or QueueError that says what to do.
Imported by: job, watch, submit, doctor.

ask       runs a program, with a time limit and its own format
squeue    the queue, and why a job waits, in plain words
sacct     the books, of jobs that the queue has forgotten
scontrol  one job, as it asks about itself
site      how a cluster is set up
"""
