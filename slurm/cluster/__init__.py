"""A real SLURM cluster on one machine, all of it in one folder: for the tests, and for trying things.

settings      what a cluster looks like
packages      where SLURM's programs are, or what is missing
config_files  the settings as slurm.conf and its kin
guardian      the process that owns the daemons and lets none outlive its owner
daemons       in which order they start, and when each is ready
cluster       all of it as one object with verbs: run, preempt, kill a node
"""

from slurm.cluster.cluster import Cluster, ClusterEvent
from slurm.cluster.settings import ClusterError, ClusterSettings

__all__ = ["Cluster", "ClusterSettings", "ClusterError", "ClusterEvent"]
