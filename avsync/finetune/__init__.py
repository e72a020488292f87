"""Does a task profit from what a network has learned without labels? The same network from learned and from random
weights, the same clips, the same steps.

In: a RUN, a DATASET with classes, an OUT folder, a FinetuneConfig.
Out: OUT/result.json, results.csv, predictions.csv, plot.png; checkpoints and curves as a run's.
Imported by: the command line, late; launch takes its config.

finetune (the verb) -> task (splits, classes), arms (the networks), out_folder (what OUT holds, whether a call goes on)
training (what the loop of train/loop.py trains here) -> learning (curves, reporter), scoring (answers about clips)
compare (is one arm better; numbers only) -> presentation (table, files, plot)
"""
