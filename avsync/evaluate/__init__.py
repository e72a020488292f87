"""How good is a network on pairs it never trained on, and on which actions: `avsync evaluate`.

In: a run's checkpoint, a split of a dataset. Out: a folder of RUN/evaluation with summary.json, CSVs and a plot; tables
at the terminal.
Imported by: finetune, replay; launch when the command runs.

evaluate     asks the network, and shows what came out
scorecard    all figures as one record, and the files they are written to
actions      a verdict on every action, with the number of actions taken into account
forced_choice which of two sounds belongs to a picture, by how far they are apart; what the threshold hides of that
matching     the same with another clip's sound
truth        where what sounds is seen: outlines, or boxes
pointing     is the hottest point of a map on it, and how well the map covers it
controls     asks for maps, and under silence, noise and another sound, where they must stay dark
map_report   what came of that by case, with one threshold from val
map_pictures the same as curves, bars and a contact sheet
plots        the picture
"""
