"""Does avsync keep its word on a real SLURM while everything goes wrong? An hour of jobs, blows, and a reckoning.

python -m benchmarks.soak --minutes 60 --seed 0

stage     a machine of its own: processes, accounts, a small disk
work      what the accounts submit
gremlin   strikes it, and mends what it did; blows is the table of all that it can do
heal      all is mended, what ended badly is resubmitted
look      what can be seen then, and checks (pure): what of it disagrees, as findings
journal   events.jsonl, in which everything stands with its time
"""
