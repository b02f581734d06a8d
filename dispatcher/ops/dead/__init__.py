"""Dead letters: what was given up on or could not be understood, as one thing over three queues and the ledger."""
