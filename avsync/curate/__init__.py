"""What of many videos a network can be trained on, and how its sound is to be moved for that: `avsync curate`.

In: a network, videos of any length. Out: a table with a row for each piece, which `avsync pack` takes; a page.
Imported by: launch when the command runs; its settings always.

config         settings
curate         all sources, by several processes, each once; the table
examiner       one source, from the file to its pieces
offset_lines   where in a file which offset of the sound holds: constant, drifting, stepping
pieces         what of a face or shot fits that, and what does not
verdict        what is to become of a piece, and why
source_answer  what was found of one source, on disk
rows           all answers as the rows of the table
report         verdicts at the terminal
page           the same as a page, with pictures
"""
