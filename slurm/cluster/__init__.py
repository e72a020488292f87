"""A real SLURM cluster on one machine, all of it in one folder: for the tests, and for trying things.

In: ClusterSettings. Out: a Cluster, whose environment makes sbatch and its kin work. Imported by: tests, slurm.demo.

settings      what a cluster looks like
packages      where SLURM's programs are, or what is missing; install gets them
config_files  the settings as slurm.conf and its kin
guardian      the process that owns the daemons and lets none outlive its owner; processes: who descends from whom
daemons       in which order they start, and when each is ready
cluster       all of it as one object with verbs: run, preempt, kill a node; and what SLURM did to jobs
"""

from slurm.cluster.cluster import Cluster, ClusterEvent
from slurm.cluster.settings import ClusterError, ClusterSettings

__all__ = ["Cluster", "ClusterSettings", "ClusterError", "ClusterEvent"]
