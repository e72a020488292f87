"""`avsync show DATASET`: what is inside a packed dataset. Only reads; opens a tar for the contact sheet alone.

In: the folder of a dataset, and what to show of it (`ShowOptions`).
Out: one screen; on demand a page, a contact sheet and a CSV of all sources, as files.
Imported by: launch, late, for `avsync show`. Knows nothing of packing; what draws is imported late.

survey         what dataset.json, indexes, side files and rejects.csv say
av_clock       of the sources: offsets, gaps and repairs; the worst first
formatting     how figures are written, on screen and page alike
screen         the terminal
charts         of lengths and the A/V clock, as SVG
contact_sheet  clips as pictures above their sound: a PNG, or clip by clip
sources_csv    a row for each source, the least sure clock first
page           all of it as HTML, by show.html.j2
show           the command
"""
