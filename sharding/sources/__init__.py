"""Which videos there are to pack, by their names; none is decoded here.

In: a folder tree, a CSV, a curated table, or a Kinetics list with the folder of its downloads. Out: sources, sorted,
each with an id, an action and a group; which of them hold the same bytes; boxes of the true sound, and boxes to pack,
where CSVs name them.
Imported by: faces, plan, pack, show, verify, advise.

    source       one source, its id, its split
    find         the entry: any input becomes a list of sources
    table        rows of a CSV                  kinetics   rows of a Kinetics list
    names        how a disk writes what a list names
    duplicates   sources of the same bytes      boxes      the true positions beside a video
    crops        a table of moving boxes: the parts of pictures to pack
    curated      a table of verdicts on the sound of pieces of videos
"""
