"""Stores made ready: the ledger's schema, exchanges and queues."""
