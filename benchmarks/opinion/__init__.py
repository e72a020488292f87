"""A second opinion: packing's times beside those of the program ffprobe, frame by frame, and who is right.

In: videos. Out: how many frames agree, how far the others are apart, and a reason for each difference.
Imported by: nobody.

    frames     rows of frames and their times; which frames of two rows are the same
    ours       the times that packing uses
    program    the times that ffprobe shows
    truth      files that flash and beep: who is right
    reasons    why they differ, each with another reading of the program that must agree
    compare    one file
"""
