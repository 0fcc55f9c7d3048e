"""Training: the loop, many small networks at once, trainings that are kept, and weights learnt on phantoms."""
