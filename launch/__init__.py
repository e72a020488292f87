"""From a person's wish to running work: the command line, and SLURM jobs that survive what a cluster does to them.

    __main__  `python -m launch`: the command line again, for jobs and for checkouts
    cli       finds a command, runs it, and says what went wrong in a person's words
    demo      the whole path on generated scenes, one command
    commands  each command is a dataclass: what can be typed, and the work behind it
    submit    a command line becomes jobs in SLURM's queue
    job       what runs inside a job: its folder, its supervisor, its ranks, and what follows when it ends
    watch     how jobs stand: status, logs, cancel, board
    queue     SLURM's own programs, asked and read
    site      what is known of a cluster: its profile
    doctor    what a cluster does to jobs, found out by short jobs of our own
    replay    the thesis's history again, staged and told as a page

Imports point down: queue, site -> job, commands -> watch, replay -> submit -> doctor -> demo -> cli -> __main__.
Settings of the other packages are imported; the work, and torch with it, only when a command runs.
"""
