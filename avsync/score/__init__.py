"""Is a file in sync; if not, by how much and where: `avsync score`.

In: a run's checkpoint, video files of any length. Out: VIDEO.json and VIDEO.png for each, with --fix a copy whose sound
is moved; sentences and a table at the terminal.
Imported by: launch when the command runs; its settings always.

config     settings
score      one file after the other, from the file to its answer
listen     the network's answers for every window and every offset
decide     from the curve that avsync/confidence makes of them to a verdict
wording    the verdict in a sentence
result     the answer as one record: VIDEO.json
plot       the answer in one picture: VIDEO.png
score_set  thousands of files into lines of JSON, to be gone on with; two sets compared
set_summary  figures of a set, with intervals, and of two sets by pairs
fix        a copy with its sound moved
report     many answers at the terminal
"""
