"""Which source goes into which shard, and what of that is missing in a dataset.

In: sources, settings, the folder of a dataset. Out: plans of shards, those to be made, and these in shares.
Imported by: pack, show, verify, advise; launch, late, where it divides a job.

    plan     shards and their sources; plan.json, by which they stay together
    todo     the folder as earlier calls left it, checked; what is missing; what makes way
    blocked  shards that wait, for a source of theirs cannot be looked at now
    shares   what is missing, divided among calls on many machines
"""
