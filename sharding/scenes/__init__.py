"""Generated audio-visual scenes whose sounding objects are known: `generate.generate(folder, SceneConfig())`.

motion -> sound and picture -> film (mp4) -> generate (many, in parallel). Torch-free.

Nothing is imported here: a command's help needs the config alone.
"""
