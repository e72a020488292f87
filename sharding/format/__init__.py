"""What a dataset is on disk: the contract between packing and training, specified in docs/data-format.md.

In: a clip, decoded. Out: the same clip, or any window of it, read back; which clips there are and where each lies.
Imported by: anyone in sharding and avsync; by whoever launches, late. A change here raises FORMAT_VERSION.

    clip       the record that flows from video to batch, and its exact clock
    codec      stored forms: h264 and raw, a class each
    open_decoder                decoders that stay open from clip to clip, fed with a clip's own packets
    packets    where those of a video lie          sound_frames    and those of a sound
    decoded    what decoders hand out, copied
    tar        clips as members of a tar           reader    a clip, or a window of it, checked
    blocks     checksums of parts of a raw clip
    records    what a shard's side file says       dataset   a split, opened for reading
    index      dataset.json, and where each clip lies
    columns    that as arrays                       mapped    the same of a large split, left in the file
    walk       columns a piece at a time, and by shard
    form       what a clip must be by index and dataset.json       claims    what a member's bytes make a decoder say
"""
