"""The mail channel: addresses, the relay, and the mail about an event."""
