"""Real videos, where there are some: the folder AVSYNC_DATA, or shared/data beside the checkout.

Tests that need them carry the mark `data`: skipped where there are none, and failed where AVSYNC_REQUIRE_DATA is set.
"""

import os
from pathlib import Path

DATA = Path(os.environ.get("AVSYNC_DATA", Path(__file__).parents[2] / "shared" / "data"))


def no_data() -> str:
    """Why tests that need real videos cannot run; empty where they can."""
    missing = [name for name in ("clips", "edge", "faults") if not (DATA / name).is_dir()]
    return f"no real videos here (AVSYNC_DATA): {DATA} has no {', '.join(missing)}" if missing else ""
