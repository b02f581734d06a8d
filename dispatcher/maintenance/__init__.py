"""What runs beside delivery, one dispatcher at a time: sweeping, sampling, pruning."""
