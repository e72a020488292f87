"""Where the faces of a video are: found, followed through their shots, and as steady boxes around their mouths.

In: a probed source. Out: a path for each face, which pack cuts along as along one that a person wrote.
Imported by: pack, show; avsync.localize. Needs the extra `avsync[faces]`; without it, importing still works.

    mtcnn     the faces of one picture
    follow    faces and shots through a video
    steady    a followed face as a box that holds still
"""
