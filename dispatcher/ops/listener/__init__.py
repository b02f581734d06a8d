"""`faxhook listen`: an application's side, for a laptop."""
