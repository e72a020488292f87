"""Damaged files through packing: right, rejected, or wrong in silence.

In: a seed. Out: verdicts by container, and the files that came out badly.
Imported by: nobody.

    marks      numbers in the pictures and pitch in the sound, written and read back
    originals  the whole files: containers and codecs
    layout     where the parts of a container lie
    stamps     the timestamps of its packets
    parts      a part of a container changed
    damage     what is done to one file, from a seed
    trial      one file through packing, and its verdict
"""
