"""How much `avsync curate` finds, and how often it spoils something: videos with a planted truth.

In: recordings of people, or scenes, and a network. Out: of each kind what share is found to one picture, dropped, moved
wrongly, with intervals.
Imported by: nobody.

    planted    videos whose offset, drift, step or foreign sound is known
    judged     what the table says, held against the truth second by second
    downstream does a network learn more from what was curated
    shots      are the cuts between shots found, beside PySceneDetect
"""
