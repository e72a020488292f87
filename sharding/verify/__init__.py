"""`avsync verify DATASET`: is every byte as it was packed? Only reads; each tar once, from its start to its end.

tape -> members, media, sources -> shard: one tar and its side file
index, folder: what the files say of each other -> verify
"""
