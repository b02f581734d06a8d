"""Lists as files: every row that a filter matches, as CSV or NDJSON, streamed, with an end that shows it is whole."""
