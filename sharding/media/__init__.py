"""A video read exactly: what it holds and when, its pictures and its sound on one clock of integers.

In: a path, ranges of frame numbers, the form of pictures and sound. Out: decoded spans, or a RejectError with a reason.
Imported by: sources, plan, pack, show, verify, advise; of avsync only localize and score.

    container      opening a file; whose fault it is when FFmpeg cannot go on
    packet_times   when the packets of a stream are
    truncation     whether the file breaks off
    probe          all of that: one pass over the packets, nothing decoded
    stream         one stream decoded in order, from any moment on
    colors         what the numbers of a picture stand for
    picture        one picture as it is stored
    video          pictures at a constant rate, by time
    audio          sound by its count of samples, under timestamps that jitter, jump or drift
    decode         both, span by span
"""
