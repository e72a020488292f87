"""What runs inside a job: a supervisor on its first node, a rank for each GPU, and the decision what follows its end.

In: a job's folder (paths: its files; record: job.json). Out: attempts.jsonl, outcome.json, and requeues; no torch.
Imported by: watch, submit, doctor. Scripts of jobs that wait in a queue name supervise, and it names rank: they stay.

supervise         what the batch script becomes; ranks: the work as its child; rank: one task, before it is the work
own               whether only its user could have changed what a job runs
launcher          as which of how many processes this one was started, whoever did it
srun              how tasks are started, and what is read from their output
attempt           this start of the job; attempts: all of them, a line each
signals           when its time is over; progress_on_disk: how far it has come
requeue           the decision, pure; ending: carried out; notify: who hears of it
interface         which network interface leads to the other nodes
"""
