"""What providers know and we were never told: their lists, read and compared with the ledger."""
