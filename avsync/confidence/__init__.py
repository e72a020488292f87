"""How sure may one be of an offset: evidence of many windows added up, and the trust that makes its probability true.

In: a network, its answers window by window, its val split. Out: one curve over the offset; how much the answers count.
Imported by: train, score.

file_evidence  a network's answers about one file, and what a window shows and sounds like
curve          one curve over the offset out of them, and where another offset holds
planted        files with a known offset out of the clips of a split, as a network answers about them
trust          how much a network's answers count, fitted so that the confidence is true
"""
