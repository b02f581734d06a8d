"""Messages of the two work queues, in batches, into the ledger and on to delivery."""
