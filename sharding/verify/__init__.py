"""`avsync verify DATASET`: is every byte as it was packed? Only reads; each tar once, from its start to its end.

In: the folder of a dataset that anyone may have damaged, on purpose too.
Out: a `Report` of findings, each with its file, its clip, what was wanted and found.
Imported by: launch, late, for `avsync verify`; tests and benchmarks.

verify          all of it: files by name, shards in threads, then the indexes
folder          what lies there and what should, by names, plan.json and rejects.csv
shard           one tar against its side file
members         one clip as it passes on the tape: bytes, checksums, headers, pictures and sound
indexes         the index of a split against the side files
findings        what was found, printed, and what to do about it
"""
