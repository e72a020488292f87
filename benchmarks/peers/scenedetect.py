"""PySceneDetect's detectors, with their defaults, on one video: `python scenedetect.py VIDEO` prints what each finds.

Run by the peer's own Python, and so without anything of the project.
"""

import json
import sys
import time
from importlib import import_module
from typing import Any


def found_in(video: str) -> dict[str, tuple[list[int], float]]:
    """Detector -> pictures at which a shot begins, and seconds of CPU time."""
    library: Any = import_module("scenedetect")
    found = dict[str, tuple[list[int], float]]()
    for name in ("ContentDetector", "AdaptiveDetector", "HashDetector", "HistogramDetector"):
        started = time.process_time()
        scenes = library.SceneManager()
        scenes.add_detector(getattr(library, name)())
        scenes.detect_scenes(library.open_video(video))
        cuts = [start.frame_num for start, _ in scenes.get_scene_list()[1:]]
        found[name] = cuts, time.process_time() - started
    return found


if __name__ == "__main__":
    sys.path = [one for one in sys.path if not one.endswith("peers")]  # its own file has the library's name
    print(json.dumps(found_in(sys.argv[1])))
