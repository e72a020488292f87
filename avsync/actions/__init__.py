"""Which actions a network has learned, which are hard, and of which nothing can be said. Arrays in, words out."""
