"""Generated audio-visual scenes whose sounding objects are known, to try everything on and to test with.

In: settings and a seed. Out: a folder of mp4 files, the true boxes beside each, and scenes.csv for `avsync pack`.
Imported by: commands that make them, each late; `config` by anyone. Nothing is imported here: help needs only `config`.

    config     what the scenes are like; scene number i depends on it and on nothing else
    motion     how an object moves, and what of it can be heard
    sound      what a motion sounds like
    drawing    what a scene looks like
    scene      one scene: motion -> sound and pictures, and the true boxes
    generate   many, filmed as mp4, in parallel
"""
