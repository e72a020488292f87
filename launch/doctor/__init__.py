"""What a site does to jobs, found out by a short job of our own."""
