"""The mail channel: addresses, the relay, and a fax's event as a mail."""
