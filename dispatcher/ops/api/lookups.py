"""Things that clients name by an id: the one place that decides that there is no such thing."""

from uuid import UUID

from shared.domain import Provider
from shared.errors import FaxhookError
from shared.ids import parse_uuid

MOST_NAME_CHARACTERS = 200


class NoSuch(FaxhookError):
    """The ledger does not hold the thing, or no longer."""

    code = "not_found"
    status = 404

    def __init__(self, what: str, name: object, hint: str = "") -> None:
        shown = str(name)[:MOST_NAME_CHARACTERS]
        super().__init__((f"there is no {what} `{shown}`" if shown.strip() else f"the {what} is not named") + hint)


def read_provider(text: str) -> Provider:
    """Return the provider that a client named.

    Raises:
        NoSuch: No provider has this name.
    """
    found = next((each for each in Provider if each == text), None)
    if found is None:
        raise NoSuch("provider", text, f"; there are {', '.join(Provider)}")
    return found


def read_id(text: str, what: str, error: type[NoSuch] = NoSuch) -> UUID:
    """Return the id of a *what* as a client gave it.

    Raises:
        NoSuch: *text* is not a UUID; of class *error*.
    """
    found = parse_uuid(text)
    if found is None:
        raise error(what, text)
    return found
