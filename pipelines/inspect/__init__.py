"""`smoltrove inspect`: looking at the documents of a run."""
