"""What `make run` and `make demo` start and judge."""
