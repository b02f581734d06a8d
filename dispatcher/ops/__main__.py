"""`python -m dispatcher.ops`: the command line where `faxhook` is not installed."""

import sys

from shared.programs import faxhook

if __name__ == "__main__":
    sys.exit(faxhook())
