"""The ledger's schema and how it is migrated. Statements of the hot path stand beside their use, in the dispatcher."""
