"""Silence: no faxes come where they usually do."""
