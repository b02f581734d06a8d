"""The broker's queues as they are now and were in the last hour, with what the ledger knows of what waits in them."""
