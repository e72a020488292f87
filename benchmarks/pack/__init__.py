"""What packing costs beside decoding alone and beside what others do.

In: videos of a folder, or generated ones. Out: CPU and wall time of every way for each clip of 4 s, and their ratios.
Imported by: cores, which packs the same generated pictures.

    sources    real videos and walls of them
    ways       what is compared
"""
