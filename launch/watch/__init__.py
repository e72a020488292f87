"""How jobs stand, from their folders and from SLURM, which is asked once for all of them; and what ends them.

In: folders of runs and datasets, as typed. Out: tables, pages, JSON, logs; SLURM's scancel.
Imported by: submit, which names jobs alike; the command line by name.

commands  status, logs, cancel and board, as typed
jobs      folders that hold jobs
on_disk   what a job's folder tells; status: a job's status as one object, with what SLURM says
gather    all jobs of a folder and of their chains; meant: which of them a command means, pure
hints     what to type next, with the job's kind
watch     the command status: cells as an overview of all jobs, or as the page of one
logs      what a job printed; log_files: the files that it printed to, and their lines
cancel, board
"""
