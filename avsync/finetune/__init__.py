"""Do the learned features help another task? Trained on beside the same network from random weights, and compared."""
