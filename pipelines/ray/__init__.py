"""A run or a deduplication on a Ray cluster, supervised from where the command was typed; `command.py` begins it."""
