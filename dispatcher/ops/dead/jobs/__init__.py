"""Jobs: replays and discards, written into the ledger and worked off by one process at a time."""
