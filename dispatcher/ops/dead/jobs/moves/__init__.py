"""Deliveries of the ledger that a job takes: which they are, what becomes of each, and the change itself."""
