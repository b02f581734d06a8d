"""What operators use: command line, HTTP API, console, health, metrics."""
