"""Word by way of a shared folder: whole files, and patience. Runs on a node, with Python's own library alone."""

import json
import os
import time
from collections.abc import Callable
from typing import Any

PATIENCE_S = 20.0


def write(path: str, found: dict[str, Any]) -> None:
    """Whole, or not at all."""
    with open(path + ".part", "w") as file:
        json.dump(found, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".part", path)


def wait_for(read: Callable[[], Any]) -> Any:
    """What is read once it is there; None when it does not come."""
    ends = time.monotonic() + PATIENCE_S
    while time.monotonic() < ends:
        try:
            return read()
        except (OSError, ValueError):
            time.sleep(0.05)
    return None
