"""What the ledger knows of faxes, events and deliveries, for people: the API's bodies, the terminal's pages."""
