"""From a leased delivery to its record: lanes, attempts, and what follows them."""
