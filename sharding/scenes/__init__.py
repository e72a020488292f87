"""Generated audio-visual scenes whose sounding objects are known: `generate(folder, SceneConfig())`.

motion -> sound and picture -> film (mp4) -> generate (many, in parallel). Torch-free.
"""

from sharding.scenes.config import SceneConfig
from sharding.scenes.generate import SceneReport, generate

__all__ = ["SceneConfig", "SceneReport", "generate"]
