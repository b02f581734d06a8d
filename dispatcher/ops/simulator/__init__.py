"""`faxhook simulate`: what a provider would send, signed as it signs."""
