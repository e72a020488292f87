"""Networks that learn from packed clips whether sound and picture belong together.

Of sharding it imports what a dataset is on disk (format), what everybody stands on (base), errors; of launch nothing.

    config      settings of train, evaluate and localize
    presets     complete settings by name
    spec        what a network is shown of a clip
    world       this process among the processes of a run
    metrics     proportions with their intervals, ROC AUC, calibration
    figures     heat over pictures, plots as PNG
    data/       which clips a step has and how they are cut; pairs, batches, tensors
    staging/    shards copied near, from anywhere
    loading/    bytes to batches
    models/     the networks, and the maps in them
    run/        what a run folder holds, exact resume and its proof
    honesty/    does the network cheat
    audit/      do the labels leak
    confidence/ how sure one may be of an offset, and what makes that true of a network
    train/      the loop and what it reports
    check/      what would keep a network from learning, before it trains
    evaluate/   a trained network on a split: how often it is right
    localize/   a video with the heat of where its sound comes from
    score/      a video: in sync or not, by how much, and where
    curate/     many videos: what of them is in sync, off by how much, or no material
    finetune/   do learned features help a task
    separation/ which part of a sound belongs to the picture: trained, judged, and done to a video
    replay/     the story of the thesis, run again
"""
