"""Requests to hosts that others named: which addresses are allowed, and the client that keeps to them."""
