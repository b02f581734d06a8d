"""Pages that send again: single deliveries, and what an endpoint was not owed."""
