"""All that a GPU can tell of training, asked in eight minutes, on a machine that has torch and no network.

In: a folder of wheels for what that machine lacks. Out: gpu.md, gpu.json and profile.txt in a folder.
Imported by: nobody.

    __main__     the one command: an environment from the wheels, then measuring in it. Python's own library alone
    environment  that environment                          wheels   collects the folder, where there is a network
    sizes        what each preset's network is shown, in full and at toy size
    work         what is measured here and not in train: scenes packed, ln 2 left, a step's profile
    parts        which jobs, in what order, and the seconds each part may take
    measure      asks for them while there is time         report   the tables
"""
