"""Endpoints for people: set, changed, tested, watched; by API and command line."""
