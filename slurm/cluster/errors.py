"""What a cluster can do wrong."""

from sharding.errors import AvsyncError


class ClusterError(AvsyncError):
    """A daemon did not start, a command failed, or a job did not get where it should; with what was printed."""
