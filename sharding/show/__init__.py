"""`avsync show DATASET`: what is inside a packed dataset. Only reads; opens a tar for the contact sheet alone.
`avsync show VIDEO`: the streams of a file, which of them packing would use, and what it would cut.

In: the folder of a dataset, and what to show of it (`ShowOptions`); or a video, and the streams wanted.
Out: one screen; on demand a page, a contact sheet and a CSV of all sources, as files.
Imported by: launch, late, for `avsync show`. Of packing it knows how a source is cut; what draws is imported late.

survey         what dataset.json, indexes, side files and rejects.csv say
av_clock       of the sources: offsets, gaps and repairs; the worst first
formatting     how figures are written, on screen and page alike
screen         the terminal
charts         of lengths and the A/V clock, as SVG
contact_sheet  clips as pictures above their sound: a PNG, or clip by clip
sources_csv    a row for each source, the least sure clock first
page           all of it as HTML, by show.html.j2
show           the command, of a dataset
video_facts    what a file holds, and what packing would make of it
video_screen   the command, of a file
"""
