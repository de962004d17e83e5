"""Tasks of a run as Slurm jobs: frozen plan -> arrays of jobs -> the same records, markers and files as a local run."""
