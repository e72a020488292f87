"""What training takes of a GPU: compute alone, loader alone, both together, and `avsync train` itself.

In: packed datasets, or scenes made here. Out: train.md and train.json, a row for each setting.
Imported by: learning, which reads curves as this does.

    settings   what is switched on and off; the records of what came of it. No torch
    step       a training step under a setting, and how long it takes
    feed       clips, and their pace
    jobs       what is asked of the process that computes
    report     lines and tables
"""
