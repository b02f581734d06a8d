"""What people use: the command line, health, metrics."""
