"""Alerts: what the operator must know, raised in the ledger and sent by another way than the broker."""
