"""The ledger's schema and how it is migrated. Other SQL is beside its use, in the dispatcher."""

from typing import Final

REVISION: Final = "0024"
"""The newest migration; what this version of the code wants. A constant, so that services need no migration tool."""

PARKED_DUE_AT: Final = "timestamptz '9999-01-01 00:00:00+00'"
"""`due_at` of a delivery that is parked, see `dispatcher.ledger.parking`. The index of them names the same."""
