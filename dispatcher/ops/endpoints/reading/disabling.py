"""What disabling or removing an endpoint leads to, said before it is done. Pure."""

from dispatcher.ops.words import counted
from dispatcher.policy.endpoint import Endpoint


def sentence_of_disabling(endpoint: Endpoint, owed: int) -> str:
    """Return what follows for *owed* deliveries and for new events, and what can be done instead.

    >>> from uuid import UUID
    >>> for sentence in sentence_of_disabling(Endpoint(id=UUID(int=0), url="https://app.example"), 2).split(". "):
    ...     print(sentence)
    2 deliveries that it is still owed become dead letters when due
    Of new events it is owed nothing, nor are more general endpoints: they are listed as skipped, and can be recovered
    To have deliveries wait instead: faxhook endpoints pause 00000000-0000-0000-0000-000000000000
    """
    then = (
        "Of new events it is owed nothing, nor are more general endpoints: they are listed as skipped, and can be "
        "recovered."
    )
    pause = "" if endpoint.paused else f" To have deliveries wait instead: faxhook endpoints pause {endpoint.id}"
    return f"{_left(owed)}{then}{pause}"


def sentence_of_removal(instead: str, owed: int) -> str:
    """Return what follows for *owed* deliveries, and *instead*: which endpoints get its faxes from then on.

    >>> sentence_of_removal("no other endpoint applies", 0)
    'It gets no more deliveries; its history stays. From then on: no other endpoint applies.'
    """
    return f"It gets no more deliveries; its history stays. {_left(owed)}From then on: {instead}."


def _left(owed: int) -> str:
    if not owed:
        return ""
    become = "becomes a dead letter" if owed == 1 else "become dead letters"
    return f"{counted(owed, 'delivery')} that it is still owed {become} when due. "
