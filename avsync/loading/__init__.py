"""How rows of clips become batches in memory: worker processes read and decode straight into shared slots.

shape (what a slot looks like) <- request (one row) <- fetch (reads and decodes it; no torch from here on up)
worker (a process's life) <- spawner (starts them) <- crew (hands out, notices deaths) <- stream (one pass) <- loader
"""
