"""`faxhook listen`: a receiver of webhooks for a laptop."""
