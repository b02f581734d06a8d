"""The daily accounts as they are read: over HTTP, on the command line, in the console."""
