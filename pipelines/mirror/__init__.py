"""`smoltrove mirror`: the planned files of a configuration in a folder, for runs without a network."""
