"""The ledger's schema and how it is migrated. Other SQL is beside its use, in the dispatcher."""

from typing import Final

REVISION: Final = "0012"
"""The newest migration; what this version of the code wants. A constant, so that services need no migration tool."""
