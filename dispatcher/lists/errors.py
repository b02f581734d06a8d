"""What can be wrong with a provider's list. None of it ever means that there are no faxes."""

from shared.errors import EXIT_AWAY, EXIT_BAD_SETTING, FaxhookError


class ListUnavailable(FaxhookError):
    """The provider does not give its list now; the same request may work later.

    Attributes:
        retry_after_seconds: How long the provider asks to be left alone; 0 if it does not say.
    """

    code = "list_unavailable"
    exit_code = EXIT_AWAY

    def __init__(self, sentence: str, retry_after_seconds: float = 0.0) -> None:
        super().__init__(sentence)
        self.retry_after_seconds = retry_after_seconds


class KeyRefused(ListUnavailable):
    """The provider refuses our API key, or does not know the account or project."""

    code = "list_key_refused"
    exit_code = EXIT_BAD_SETTING


class NotAList(ListUnavailable):
    """What the provider answered is not its list."""

    code = "not_a_list"


class ListShifted(ListUnavailable):
    """The list changed each time it was read."""

    code = "list_shifted"


class NotFound(ListUnavailable):
    """The provider does not know what was asked for."""

    code = "list_not_found"
    exit_code = EXIT_BAD_SETTING


class NotReachable(ListUnavailable):
    """The egress rules do not let us there."""

    code = "list_not_reachable"
    exit_code = EXIT_BAD_SETTING


class NoList(FaxhookError):
    """This provider has no list, or its key is not set."""

    code = "no_list"
    exit_code = EXIT_BAD_SETTING
