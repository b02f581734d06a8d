"""Faxes that have been without an ending for too long."""
