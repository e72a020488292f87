"""`avsync replay`: the thesis's history on a CPU: a cheat, a cure that is none, and one that is.

In: a folder; on demand a person's videos beside the generated scenes.
Out: datasets, runs, audits, answers and figures in that folder; replay.html, .json and .csv of what came out.
Imported by: commands, late. No torch before work begins; what trains and asks is avsync's, imported late.

recipe     scenes, labels, networks, and how much of it
stage      one dataset: audited, trained, asked, drawn; what stands is kept
sentences  what was measured, in words and tables
replay     all of it, and its page by replay.html.j2
"""
