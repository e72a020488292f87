"""How rows of clips become batches in memory: worker processes read and decode straight into shared slots.

In: a Feed (a split, set up for pairs and a view) and the rows (data.Draw) that are wanted, in order.
Out: Batches in that order, on the wanted device; figures of what loading costs; names of clips that were unusable.
Imported by: run, and all that trains, evaluates or audits.

shape (what a slot looks like) <- worker (a request, its answer, a process's life; no torch up to here)
<- spawner (starts them) <- pool (hands out, notices deaths and stalls) <- loader (one pass; the loader) <- feed
memory (the slots as tensors), meter (what it costs), options (how to load, what is forgiven)
"""
