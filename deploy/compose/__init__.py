"""faxhook on one machine by Docker Compose."""
