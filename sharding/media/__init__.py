"""A video read exactly: what it holds and when, its pictures and its sound on one clock of integers.

In: a path, ranges of frame numbers, the form of pictures and sound. Out: decoded spans, or a RejectError with a reason.
Imported by: sources, plan, pack, show, verify, advise; of avsync only localize and score.

    probe          one pass over the packets, with all that sharding/containers knows; nothing decoded
    stream         one stream decoded in order, from any moment on
    frame_times    when each decoded picture is shown
    colors         what the numbers of a picture stand for
    picture        one picture as it is stored
    video          pictures at a constant rate, by time
    sound_times    when each frame of sound is heard, under timestamps that jitter, jump or drift
    audio          sound by its count of samples
    decode         both, span by span
"""
