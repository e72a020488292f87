"""A job: its folder and record, what happens inside it, and what is done when it ends. No torch."""
