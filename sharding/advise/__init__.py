"""`avsync advise VIDEOS`: which stored form for these videos, this disk and this machine, measured on a sample.

In: videos, a folder of the disk, how many clips a second training takes.
Out: a table of what was measured, and the form to choose, with the reason.
Imported by: launch, late, for `avsync advise`.

trial   one form: clips stored as a shard holds them, loaded again, warm and cold
advice  the choice and the table; pure
advise  the command: sample, trials, advice
"""
