"""Timings, run by hand: how fast this is, beside other programs and the machine's limits. README.md has the figures.

    base       what all benchmarks stand on: the runner, the tables, the command line
    peers      other people's loaders, each in an environment of its own
    load       clips to a training process                     python -m benchmarks.load
    resume     a stopped pass goes on                          python -m benchmarks.resume
    pack       videos to clips                                 python -m benchmarks.pack
    fuzz       damaged videos to clips: right, or rejected     python -m benchmarks.fuzz
    forged     datasets that lie: a clip is skipped             python -m benchmarks.forged
    soak       jobs on a real SLURM that is disturbed          python -m benchmarks.soak
    train      what training takes of a GPU                    python -m benchmarks.train
    gpu        all that a GPU can tell in eight minutes        python -m benchmarks.gpu
    learning   how well and how soon networks learn            python -m benchmarks.learning

A benchmark of one file lies beside them: cores, help, index, order, score, slurm_requeue, slurm_status, verify.
"""
