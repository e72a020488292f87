"""What a person can type: one command, one dataclass, whose fields are flags and whose `execute` does the work.

In: the words behind `avsync`. Out: a command, checked to its last value, or one line that says what is wrong.
Imported by: watch, replay, submit, doctor, cli.

entries  every command in a line: what help says of it, which class builds it
flags    flags as declared, as typed, and what to say of those that do not fit
parse    the dataclass, built by tyro; which of its values are paths
data     commands about videos and datasets
train    commands about networks
"""
