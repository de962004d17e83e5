"""What every filter sees in a sample, and what other thresholds would do (`smoltrove audit`)."""
