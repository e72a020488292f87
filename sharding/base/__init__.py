"""What everybody stands on: files, processes, words and the terminal. No media, no arrays.

In: nothing of this program but its errors. Out: whole files, locks, worker processes, a bar, tables, pages.
Imported by: anyone, avsync and launch too. `pages` late, for jinja2 takes its time.

    files         what has its name is whole; typed JSON        csv_table    CSV, read and written
    guarded       files and folders through no link              housekeeping what ends nothing when it fails
    locks         one process writes into a folder               text         words and numbers of messages
    workers       processes that may die of a task               console      the terminal, and the progress bar
    signals       handlers for a while                           pages        HTML
    environment   what a launcher and the work agree on: cores, commit, names
    libraries     what to say when one does not load
    surroundings  any terminal, locale and account: letters, home
    current_folder what lies there by chance is not run
    caches        where libraries keep what they compile         trusted      who else may change what lies at a path
    written_paths `~` and variables in paths, filled in or refused
    share_progress how far a work is that is done in shares, for who watches
"""
