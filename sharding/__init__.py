"""Source videos in, WebDataset tar shards out. No torch here: it starts fast on a login node."""
