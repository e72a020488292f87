"""`avsync advise VIDEOS`: which stored form for these videos, this disk and this GPU, measured on a sample.

trial (one form: store, forget, load), disk -> advise -> advice (the choice, the table)
"""
