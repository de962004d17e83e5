"""What a plan will take: a sample of each source -> rates -> tasks -> a schedule on a cluster -> a table."""
