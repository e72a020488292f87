"""Datasets that lie with every checksum right: a stranger's clip costs that clip, or the dataset is refused in a line.

In: a seed. Out: verdicts by family of lies, and the datasets that came out badly.
Imported by: nobody.

    original   a small dataset in memory, and its files written with all checksums right
    encodings  pictures and sounds in other forms than the dataset's, by real encoders
    lies       what is made wrong, from a seed
    trial      one dataset through the reader, show and verify, and its verdict
"""
