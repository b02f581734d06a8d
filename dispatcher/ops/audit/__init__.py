"""The audit as it is read: over HTTP, on the command line, in the console."""
