"""The states of faxes in the ledger."""
