"""Rotation of an endpoint's tokens: a new one added, promoted when the application knows it, the old one dropped. Pure.

The first token signs (standard-v1 signs with all). So nothing changes for the application until `promote`.
"""

from dispatcher.formats.tokens import new_token
from dispatcher.ops.endpoints.bodies import RotationAction
from dispatcher.ops.endpoints.model import EndpointFields, apply_fields
from dispatcher.ops.endpoints.urls import BadEndpoint
from dispatcher.policy.endpoint import Endpoint


def rotated(endpoint: Endpoint, action: RotationAction, token: str | None = None) -> Endpoint:
    """Return *endpoint* after *action*; the token that `add` added is the last one.

    Raises:
        BadEndpoint: There is nothing to promote or drop, too many tokens, or *token* cannot sign.
    """
    if token is not None and action != "add":
        raise BadEndpoint("token", "goes with the action add only")
    tokens = list(endpoint.tokens)
    if action == "add":
        tokens.append(new_token(endpoint.format) if token is None else token)
    elif not tokens:
        raise BadEndpoint("tokens", "the endpoint has none")
    else:
        tokens = [tokens[-1], *tokens[:-1]] if action == "promote" else tokens[:1]
    return apply_fields(endpoint, EndpointFields(tokens=tokens))
