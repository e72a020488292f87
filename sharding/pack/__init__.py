"""Videos in, a whole dataset out; a call that was ended at any moment goes on from what is already whole.

In: a folder or list of videos, settings, the folder of the dataset. Out: shards with their side files, then indexes,
rejects.csv and dataset.json; a summary.
Imported by: verify, advise; launch, late.

    pack       the entry: pack, dry_run, divide, pack_share
    pool       plans of shards worked through by several processes, and the progress
    schedule   tasks, and what comes next
    cut        a source looked at, and cut into the clips of its parts
    part       clips decoded and encoded: the unit of work
    assemble   parts become a shard
    finish     side files become indexes and dataset.json
    card       README.md for Hugging Face, where it is asked for
    sample     a collection judged by a few of its videos
    report     tables for people
"""
