"""What a replay of the thesis asks its networks and draws of them: more than any training would look at.

In: runs and a dataset.
Out: answers as one record (`ReplayResult`), figures as PNG bytes.
Imported by: launch's replay, late.

runs     a run that goes on from another one's checkpoint; curves read back
answers  what a network says about clips that it never saw
heat     where it listens: maps, and around the join of a shifted sound
result   all numbers of a replay
figures  curves, maps and the join, drawn
"""
