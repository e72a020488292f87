"""Replays the thesis's history: asks the trained networks, finds where they listen, and draws it."""
