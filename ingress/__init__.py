"""Callbacks in, events out. No database."""
