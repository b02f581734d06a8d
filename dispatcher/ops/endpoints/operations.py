"""What `/v1/endpoints` offers, as data."""

from collections.abc import Sequence
from typing import Protocol
from uuid import UUID

from dispatcher.ops.api.operation import Handler, Operation
from dispatcher.ops.endpoints.bodies import (
    EndpointBody,
    EndpointPage,
    EndpointQuery,
    EndpointWithHealth,
    Removed,
    RotatedEndpoint,
    Rotation,
    SampleRequest,
)
from dispatcher.ops.endpoints.health import EndpointHealth
from dispatcher.ops.endpoints.model import EndpointFields
from dispatcher.ops.endpoints.sample import SampleOutcome


class Handlers(Protocol):
    """One for each operation."""

    @property
    def list(self) -> Handler: ...  # noqa: D102 - named by its operation
    @property
    def add(self) -> Handler: ...  # noqa: D102 - named by its operation
    @property
    def show(self) -> Handler: ...  # noqa: D102 - named by its operation
    @property
    def change(self) -> Handler: ...  # noqa: D102 - named by its operation
    @property
    def remove(self) -> Handler: ...  # noqa: D102 - named by its operation
    @property
    def rotate(self) -> Handler: ...  # noqa: D102 - named by its operation
    @property
    def health(self) -> Handler: ...  # noqa: D102 - named by its operation
    @property
    def test(self) -> Handler: ...  # noqa: D102 - named by its operation


def endpoint_operations(handlers: Handlers) -> Sequence[Operation]:
    """Return the operations with their handlers."""
    one = {"id": UUID}
    return (
        Operation(
            method="GET",
            path="/v1/endpoints",
            handler=handlers.list,
            summary="Endpoints, the oldest first",
            query=EndpointQuery,
            answer=EndpointPage,
        ),
        Operation(
            method="POST",
            path="/v1/endpoints",
            handler=handlers.add,
            summary="Add an endpoint; its tokens are shown in this answer and never again",
            body=EndpointFields,
            required=("url",),
            answer=EndpointBody,
            status=201,
            problems=(409,),
            is_command=True,
        ),
        Operation(
            method="GET",
            path="/v1/endpoints/{id}",
            handler=handlers.show,
            summary="An endpoint, and how it is doing",
            parameters=one,
            answer=EndpointWithHealth,
            problems=(404,),
        ),
        Operation(
            method="PATCH",
            path="/v1/endpoints/{id}",
            handler=handlers.change,
            summary="Change an endpoint; what is not named stays as it is",
            parameters=one,
            body=EndpointFields,
            answer=EndpointBody,
            problems=(404, 409),
            is_command=True,
        ),
        Operation(
            method="DELETE",
            path="/v1/endpoints/{id}",
            handler=handlers.remove,
            summary="Remove an endpoint; its history stays, what it is still owed becomes dead letters when due",
            parameters=one,
            answer=Removed,
            problems=(404, 409),
            is_command=True,
        ),
        Operation(
            method="POST",
            path="/v1/endpoints/{id}/tokens",
            handler=handlers.rotate,
            summary="Rotate an endpoint's tokens",
            parameters=one,
            body=Rotation,
            answer=RotatedEndpoint,
            problems=(404, 409),
            is_command=True,
        ),
        Operation(
            method="GET",
            path="/v1/endpoints/{id}/health",
            handler=handlers.health,
            summary="How an endpoint is doing",
            parameters=one,
            answer=EndpointHealth,
            problems=(404,),
        ),
        Operation(
            method="POST",
            path="/v1/endpoints/{id}/test",
            handler=handlers.test,
            summary="Send a sample event to an endpoint, outside the ledger, and say what came back",
            parameters=one,
            body=SampleRequest,
            answer=SampleOutcome,
            problems=(404,),
        ),
    )
