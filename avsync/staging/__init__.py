"""The coming shards, copied to a disk of this machine; datasets may lie behind a URL. No torch.

In: a dataset as typed (folder, URL, command), a scratch folder, the blocks of shards in the order of a run.
Out: StagedDataset (its metadata in a folder), a Shelf for each split (where a shard is read), keep_ahead (fills it).
Imported by: loading, run, train, and who opens a dataset that may lie behind a URL.

location (what was typed) -> streams (bytes from afar) -> fetch (one file, tried a few times) <- checksum (clip by clip)
own_folder (each user's part of the disk) -> copies (counted, touched, removed)
part_file (a file in the making, locked) -> room (one limit for all jobs) -> scratch (copies of a split)
shelf (where a loader looks) <- scratch; stager (threads that keep ahead); mirror (a dataset of any kind, opened)
"""
