"""Who may use the console: log-in, sessions, and the guard that every request goes through."""
