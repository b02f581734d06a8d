"""What is decided about a delivery, and by which rules. Pure: no I/O."""
