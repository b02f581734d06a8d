"""Channels: the code that reaches one kind of endpoint."""
