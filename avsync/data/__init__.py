"""Which clips each step has, how they are cut, and how a batch becomes tensors. Pure: no files, no processes.

In: a dataset's index (sharding.format), settings of pairs and of the view.
Out: Order (clips of a step), Draw (a row: windows, crop, flip), Batch, NetworkInput; SplitPrint (which clips they are).
Imported by: loading and all that stands above it.

clips (which may be used; no torch)
order (clips and draws of a step, the digest; no torch) -> pairs (samplers, their exact law; no torch)
selection (one split, as pairs and view select from it; no torch)
batch (what loading hands over) -> transforms (what the network is shown)
fingerprint (whether a split is what it was)
"""
