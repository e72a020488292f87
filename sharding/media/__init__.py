"""A video read exactly: what it holds and when, its pictures and its sound on one clock of integers.

In: a path, ranges of frame numbers, the form of pictures and sound. Out: decoded spans, or a RejectError with a reason.
Imported by: sources, plan, pack, show, verify, advise; of avsync only localize and score.

    container      opening a file; whose fault it is when FFmpeg cannot go on
    programmes     which streams of a transport stream belong together
    choice         which picture and which sound are used
    stretches      pieces of a timeline, and when two are one
    packet_times   when the packets of a stream are
    restarts       where a clock starts again: one timeline of all its stretches
    movie_boxes    the boxes of MP4 and MOV, walked within bounds
    edits          edit lists of MP4 and MOV that FFmpeg cannot play: what is played when
    fragments      by how much FFmpeg shows fragmented MP4 too late
    truncation     whether the file breaks off
    avi_index      whether all chunks of an AVI are there, which has no times
    movie_header   whether that of MP4 and MOV speaks for the whole file
    ogg_pages      whether all pages of an Ogg are there, and agree with their packets
    probe          all of that: one pass over the packets, nothing decoded
    stream         one stream decoded in order, from any moment on
    frame_times    when each decoded picture is shown
    colors         what the numbers of a picture stand for
    picture        one picture as it is stored
    video          pictures at a constant rate, by time
    sound_times    when each frame of sound is heard, under timestamps that jitter, jump or drift
    audio          sound by its count of samples
    decode         both, span by span
"""
