"""What a container says of its streams: which there are, when each packet is, whether the file is whole.

In: a path. Out: times of packets, edits, breaks; nothing is decoded here. FFmpeg's demuxers do the reading; where they
leave out, or make up, what the file says, its own tables are read (boxes, chunks, pages), within bounds.
Imported by: media, and who names what cannot be opened (sources, localize, score).

    container      opening a file; whose fault it is when FFmpeg cannot go on
    programmes     which streams of a transport stream belong together
    choice         which picture and which sound are used
    stretches      pieces of a timeline, and when two are one
    packet_times   when the packets of a stream are
    restarts       where a clock starts again: one timeline of all its stretches
    movie_boxes    the boxes of MP4 and MOV, walked within bounds
    movie_header   whether that of MP4 and MOV speaks for the whole file
    edits          edit lists of MP4 and MOV that FFmpeg cannot play: what is played when
    fragments      by how much FFmpeg shows fragmented MP4 too late
    truncation     whether the file breaks off
    avi_index      whether all chunks of an AVI are there, which has no times
    ogg_pages      whether all pages of an Ogg are there, and agree with their packets
"""
