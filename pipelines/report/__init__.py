"""The report of a run: its records, plan and files as HTML, Markdown and JSON."""
