"""Where does the sound come from: `avsync localize` draws a network's heat over a video's own pictures.

In: a run's checkpoint, a video file. Out: an mp4 with the heat and the video's sound, a sheet as PNG, a record as JSON.
Imported by: score, which looks at videos in the same windows; launch when the command runs.

localize    two passes over the file: ask the network, then draw
watched     which parts of the picture the network looks at: all of it, or each face
windows     overlapping windows of a file, prepared exactly as in training
stitch      heat and score of a whole video out of those of its windows
film        the source's pictures and sound in, an mp4 out
sheet       the video in one picture
"""
