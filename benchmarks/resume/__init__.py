"""How soon a stopped pass goes on, what is saved for it, and whether the clips are right.

In: the clips and ways of benchmarks.load. Out: seconds, bytes, and a verdict on every rest of a pass.
Imported by: nobody.

    start      starts of one way, fresh or resumed, each in processes of its own
    ways       our way
    enlarge    datasets of a million clips made of a few
    report     medians, verdicts
"""
