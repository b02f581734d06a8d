"""Asterisk: what the operator's own dialplan reports."""
