"""What is known of a cluster without asking it: its profile. No SLURM program is run here.

In: a profile's name, or its TOML file. Out: ClusterProfile, checked.
Imported by: job, commands, watch, submit, doctor.

amounts   times, sizes and numbers of nodes as people and SLURM write them
profile   all that can be set of a cluster
profiles  where profiles lie, and how one is read
"""
