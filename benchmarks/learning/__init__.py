"""How well and how soon networks learn on generated scenes, by pair sampler and by seed.

In: packed scenes, or none. Out: run folders with a result.json each, learning.md and learning.png.
Imported by: nobody.

    cell       one run: trained, then judged on honest pairs; networks with other ears
    report     the table and the curves
"""
