"""The daily account: what a provider's list names on a day, compared with what the ledger knows and told."""
