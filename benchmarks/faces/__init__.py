"""Beside others, in one run: our preset for faces and two published recipes, on the same clips, for as long.

In: any packed dataset of mouth crops, 25 pictures a second and 16 kHz. Out: one table.
Imported by: nobody.

    candidate    what takes part: a network, its own loss, its answer about a window
    stretches    networks that embed a short stretch of each stream: how they are trained and asked
    ours         the preset `faces` of avsync train
    syncnet      Chung & Zisserman 2016
    stablesync   StableSyncNet, of LatentSync
    race         one of them trained for some CPU time, then judged
    judge        which sound belongs to the picture, its own or a shifted one
    report       the table
    unsteady     what crops that follow badly cost a trained network
    offsets      does `score` find how late the sound of a short clip is
"""
