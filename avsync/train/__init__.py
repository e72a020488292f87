"""The loop that trains, and what it reports.

In: a dataset, a RUN folder, a TrainConfig (trainer.train); or a Learner and where it begins (loop.Loop).
Out: checkpoints, curves, receipts, progress.json in RUN; a TrainSummary. Stopped, when somebody wished to stop.
Imported by: finetune (loop, reporter, stop, step), replay; the command line, late.

trainer (a sync network; the only one that knows accelerate) -> loop (steps, points, validations, checkpoints, stop)
step (forward, backward, update), validation (fixed pairs of val), stop (the wish, agreed on by all ranks)
reporter (terminal, progress.json) -> tracking (TensorBoard), pictures, efficiency (the site's floor), gpu
widen (a finished run asked about longer windows)
sections (what a rank is at, and how long that takes) -> sentry (a process beside each rank: names it when it hangs)
stragglers (which rank the others wait for)
preflight (what to expect, before the first step)
"""
