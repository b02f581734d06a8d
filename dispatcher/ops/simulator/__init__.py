"""`faxhook simulate`: sample callbacks of each provider, signed as it signs."""
