"""Does the network cheat? Asked at every validation: without its picture, without its sound, of its maps.

In: a network in evaluation mode, batches of fixed pairs. Out: its answers with their accuracies by one stream alone, an
audited accuracy, scores of its maps, and the alarm. Knows no ranks: who has several gathers the rows.
Imported by: train, evaluate, localize, replay.

predict        a network's answers, one row per example
swap           the network asked again, with another clip's picture and with silence
maps           does a map change with the sound, and does it point
examination    all of a validation's rows, and what they are worth; maps.csv
judge          what a checkpoint is worth, and whether the alarm stands
"""
