"""The dead-letter queues: browsed without losing a message, read into letters, and tried again."""
