"""Telnyx Programmable Fax."""
