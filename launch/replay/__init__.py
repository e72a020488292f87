"""`avsync replay`: the thesis's history on a CPU: a cheat, a cure that is none, and one that is."""
