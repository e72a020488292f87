"""How fast clips come to a training process: ours, others and the limits of the machine.

In: a folder of videos, or none. Out: clips a second of every way, ratios of them, and what was wanted.
Imported by: resume, whose ways are these; peers, which get a Job and hand over Delivered.

    job       the contract: what a way gets and what it hands over
    catalog   the ways, and what is wanted of them
    clips     the packed clips, and copies of them in the peers' own forms
    run       one run of one way, in a process of its own
    ways      our ways, and the limits
    report    medians, ratios, bytes on disk
"""
