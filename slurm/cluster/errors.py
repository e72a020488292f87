"""What a cluster can do wrong."""

from sharding.errors import AvsyncError


class ClusterError(AvsyncError):
    """A daemon did not start, a SLURM command failed, or a job did not reach a state. The message ends with what was printed."""
