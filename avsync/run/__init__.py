"""What a run folder holds, how a run starts or goes on at the exact clip, and how it is proven.

In: a RUN folder; settings and a feed to go on with; a network's weights to keep or to put back.
Out: RunPaths (every file name), OpenRun and Start (where an attempt begins), checkpoints, receipts, progress.json,
     LoadedNetwork (a trained network), History (which clips a run was trained on).
Imported by: honesty, train, evaluate, localize, score, finetune, separation, replay; launch takes paths and progress.

paths (names), progress (where it stands), alarm: no torch, no numpy
limits (how long each section of a training may take): no torch
info (run.json, and whether what is wanted now goes on with it): no torch
state, checkpoint (what is saved) -> tensor_file, optimizer_state (read as a stranger's)
network (with its first weights, or trained)   descent (weights of another run to start from)
origins (which other runs a new one begins with): no torch
resume (run.json written or checked) -> receipt (clips skipped: 0, repeated: 0)   history, show (avsync show RUN)
"""
