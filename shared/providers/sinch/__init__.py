"""Sinch Fax v3, and the flat shape that Faxbot made of it."""
