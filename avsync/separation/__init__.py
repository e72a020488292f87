"""Whose sound is it: a network takes apart what belongs to the picture and what does not, and is held to it.

In: a dataset's clips, mixed two by two (data/mixtures); then a run and a video. Out: a trained run as every other, how
many decibels it is worth, and a video with the sound of what is seen only, and one with the rest.
Imported by: nobody; the command line begins here.

learner    the loop's learner, and its reporter     curves     TensorBoard: curves, spectrograms, sound
config     how a video is taken apart               loaded     build one, or find a trained one
measure    decibels on a split (avsync evaluate)    separate   a video (avsync separate) -> fade, before_after
decibels   SI-SDR, SDR, and all that a separation is held against, batch by batch
"""
