"""Can a network cheat on the labels of a dataset? One stream alone, places in the file, splices; no training needed.

In: a packed dataset with the pair sampler that a training would use (`AuditConfig`).
Out: an `AuditResult`: a verdict with reasons and numbers; printed, and on demand as a page and as JSON.
Imported by: replay; launch, late, for `avsync audit`. Only `config` is imported without torch.

config     what a person can set
leak       what places tell about the label, computed from the sampler: exact
mixture_labels   the same questions of mixtures, for networks that take sounds apart
evidence   which windows are looked at, and what is kept of them
features   what is kept: a map of the sound, small pictures, a number for each rule; rules: those numbers
networks   two small networks that see one stream each
position   where in its file a window lies, guessed from one stream
probes     the table of all questions; to add one: a line in PROBES
verdicts   from guesses to pass, warning or fail;  result: the record of it
report     the terminal;  page, audit.html.j2: the page
audit      all of it, one after the other
"""
