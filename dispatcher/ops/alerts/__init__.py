"""Alerts as they are read and tried: over HTTP, on the command line, in the console."""
