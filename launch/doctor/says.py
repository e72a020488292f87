"""What a command says, for the probes. Runs on a node, with Python's own library alone."""

import subprocess


def output_of(*words: str, timeout: float = 20) -> str:
    """What a command prints; empty when it fails."""
    try:
        run = subprocess.run(
            words, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return run.stdout.strip() if run.returncode == 0 else ""
