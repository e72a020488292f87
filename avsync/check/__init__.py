"""What would keep a network from learning, found before a long training: `avsync train --check`.

In: a dataset and the settings of a training. Out: a line with the remedy for each cause; no run is written.
Imported by: launch when the command runs.

causes     all of them, one after the other, and what came of them
loudness   do sound and picture belong together: a linear guess of the loudness from small pictures
mouths     where lips and sound fit, of each person, as the network that comes with avsync sees it
by_heart   can this network with these settings learn 8 clips by heart
"""
