"""An endpoint in a line: which events it gets, and in which form. Pure."""

import msgspec

from dispatcher.ops.words import printable
from dispatcher.policy.endpoint import Endpoint, FaxMatch


def describe(endpoint: Endpoint) -> str:
    """Return in a line which events an endpoint gets, and in which form."""
    is_mail = endpoint.url.startswith("mailto:")
    facts = [_applies_to(endpoint), "e-mail" if is_mail else endpoint.format]
    facts += [] if endpoint.direction == "any" else [f"{endpoint.direction} only"]
    if endpoint.types:
        facts += [f"only {', '.join(endpoint.types)}"]
    elif endpoint.inflight:
        facts += ["inflight too"]
    facts += [f"headers {', '.join(name for name, _ in endpoint.headers)}"] if endpoint.headers else []
    facts += [printable(endpoint.description)] if endpoint.description else []
    facts += [] if endpoint.tokens or is_mail or "tokens" in endpoint.damaged else ["unsigned"]
    facts += ["DAMAGED"] if endpoint.is_damaged else []
    facts += [] if endpoint.enabled else ["DISABLED"]
    facts += ["PAUSED"] if endpoint.paused else []
    facts += [] if endpoint.removed_at is None else ["REMOVED"]
    return ", ".join(facts)


def sentence_of_damage(endpoint: Endpoint) -> str:
    """Return the rest of a sentence on what is damaged of *endpoint*, and what a person does about it.

    >>> from uuid import UUID
    >>> sentence_of_damage(Endpoint(id=UUID(int=0), url="https://a.example", damaged=("tokens", "headers")))
    'tokens and headers are damaged in the ledger, so nothing is sent to it: set them again, or remove the endpoint'
    """
    fields = " and ".join(endpoint.damaged)
    return f"{fields} are damaged in the ledger, so nothing is sent to it: set them again, or remove the endpoint"


def _applies_to(endpoint: Endpoint) -> str:
    if isinstance(endpoint.match, FaxMatch):
        return " ".join(f"{name} {value}" for name, value in msgspec.to_builtins(endpoint.match).items())
    return endpoint.match or "everything"
