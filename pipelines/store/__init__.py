"""Runs whose output folder is in an object store: `--output-folder s3://bucket/path`."""
