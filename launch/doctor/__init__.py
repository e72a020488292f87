"""What a cluster does to jobs, found out by four short jobs of our own.

In: a profile. Out: findings, lines to set in the profile, what to ask the administrator for.
Imported by: nobody; the command line by name.

command           avsync doctor, as typed
doctor            from the first job to the table; examine: the jobs themselves; scripts: their texts
probe_node, probe_signals, meeting, on_node
                  what runs on the nodes, with Python's own library alone
results           what the probes wrote, and findings; of_site, of_nodes, of_signals: what follows from it
"""
