"""Can a network cheat on the labels of a dataset? One stream alone, places in the file, splices; no training needed."""
