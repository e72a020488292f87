"""From a command line to jobs in SLURM's queue; all of a chain, or none of it.

In: a command as typed, a cluster's profile. Out: a job's folder, which holds all that it needs, and its numbers in the
queue. Imported by: doctor, for sbatch alone; the command line by name.

command    avsync submit and resubmit, as typed; typed: whose word is whose
kinds      which commands can be jobs, and how each becomes one
resources  what a job asks SLURM for
plan       the jobs of a chain, before anything is written; lost: those that resubmit means
check      folders and partitions, looked at before; live: whether the job runs already
takeover   a job folder that somebody else wrote
feasible   whether the work itself would refuse, by its own checks
snapshot   the copy of avsync that a job runs; script: what sbatch gets
submit     all of it in order; how many tasks a packing gets
chain      the jobs, queued one behind the other; sbatch: one of them
messages   what is said at the end
"""
