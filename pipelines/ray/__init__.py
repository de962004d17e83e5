"""The tasks of a run on a Ray cluster, supervised from where the command was typed; `command.py` begins it."""
