"""Where the faces of a video are: found, followed through their shots, and as steady boxes around their mouths.

In: a probed source. Out: a path for each face, which pack cuts along as along one that a person wrote.
Imported by: pack, show; avsync.localize, avsync.curate. Needs the extra `avsync[faces]`; importing works without it.

    mtcnn     the faces of one picture
    follow    faces and shots through a video
    steady    a followed face as a box that holds still
    shots     the shots alone, for who looks at whole pictures
"""
