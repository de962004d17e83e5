"""Publishing a finished run: Parquet, a dataset card, an upload to the Hub. Gives up: other hosts than the Hub."""
