"""Source videos in, WebDataset tar shards out. No torch here: it starts fast on a login node.

Data flows down this list, imports point up it: a room knows those above it, as tests/test_architecture.py holds.

    errors   what a person can cause, and which of it is forgiven
    base/    what everybody stands on, without media: files, locks, words, workers, the terminal, pages
    format/  what a dataset is on disk: clips, stored forms, tars, the index; the contract with avsync
    config   settings of pack
    containers/ what the file around a video says: streams, times of packets, edits, breaks
    media/   a video read exactly, on one clock of integers
    scenes/  generated videos whose sounding objects are known
    sources/ which videos there are, and which part of their pictures is wanted
    faces/   where the faces of a video are
    plan/    which source goes into which shard, and what of that is missing
    pack/    the doing: cut, decode, encode, write, assemble, finish
    show/    what a dataset holds, for people
    verify/  whether every byte of it is right
    advise/  which stored form and settings suit videos, disk and cores
"""
