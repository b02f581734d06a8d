"""`python -m dispatcher.ops`: the command line where `faxhook` is not installed."""

from dispatcher.ops.cli import main

if __name__ == "__main__":
    main()
