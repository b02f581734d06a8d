"""The OpenAPI 3.1 description of operations, made from the structs that read and write their bodies. Pure."""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from dispatcher.ops.api.description.examples import example_of
from dispatcher.ops.api.description.names import operation_name, renamed
from dispatcher.ops.api.description.schemas import Schemas, without_null
from dispatcher.ops.api.description.webhooks import webhooks
from dispatcher.ops.api.http import IDEMPOTENCY_KEY, KEY_PATTERN, PREFIX, READ_METHODS
from dispatcher.ops.api.idempotency import MOST_ID_CHARACTERS, REMEMBERED_SECONDS
from dispatcher.ops.api.operation import Operation
from dispatcher.ops.api.problems import ProblemBody

PROBLEM_TYPE: Final = "application/problem+json"
COMMAND_ID: Final[dict[str, Any]] = {
    "type": "string",
    "minLength": 1,
    "maxLength": MOST_ID_CHARACTERS,
    "description": f"the same id again within {REMEMBERED_SECONDS // 3600} hours changes nothing and gets the first "
    f"answer; the header {IDEMPOTENCY_KEY} says the same",
}
_PARAMETER: Final = re.compile(r"\{(\w+)(:[^{}]*)?\}")


def openapi(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the description of *operations*."""
    schemas = Schemas(_kinds(operations), answered=_answered(operations))
    # aiohttp's paths without their patterns, which OpenAPI does not have.
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = _PARAMETER.sub(r"{\1}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _described(operation, path, schemas)
    description = {
        "openapi": "3.1.0",
        "info": {
            "title": "faxhook",
            "version": _version(),
            "description": "Operate faxhook. Errors are problems (RFC 9457) whose `code` is stable; lists are "
            "`items` and `next`, which goes into `after`. The webhooks are what an endpoint gets, by its format.",
        },
        "servers": [{"url": "/", "description": "the dispatcher that this description comes from"}],
        "paths": paths,
        "webhooks": webhooks(),
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "OPS_TOKEN, a named token, or to read only, OPS_READ_TOKEN",
                }
            },
        },
    }
    schemas.keep_used(description)
    described: dict[str, Any] = renamed(description)
    return described


def _answered(operations: Sequence[Operation]) -> list[Any]:
    kinds: list[Any] = [ProblemBody]
    for operation in operations:
        kinds += [*_answers(operation.answer), *operation.also.values()]
    return [kind for kind in kinds if kind is not None]


def _kinds(operations: Sequence[Operation]) -> list[Any]:
    kinds = _answered(operations)
    for operation in operations:
        kinds += [operation.body, operation.query, *operation.path_parameters().values()]
    return list(dict.fromkeys(kind for kind in kinds if kind is not None))


def _answers(answer: Any) -> list[Any]:
    """Return the types of body that an answer may have."""
    return [] if answer is None else list(answer) if isinstance(answer, tuple) else [answer]


def _described(operation: Operation, path: str, schemas: Schemas) -> dict[str, Any]:
    is_ours = path.startswith(PREFIX)
    name = operation_name(operation.method, path)
    described: dict[str, Any] = {
        "operationId": name,
        "summary": operation.summary,
        "tags": [path.removeprefix(PREFIX).partition("/")[0] if is_ours else "platform"],
        "security": [{"token": []}] if is_ours else [],
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _path_schema(schemas.of(kind))}
        for name, kind in operation.path_parameters().items()
    ]
    if operation.query is not None:
        parameters += _query_parameters(schemas.resolved(operation.query))
    if operation.body is not None:
        described["requestBody"] = _request_body(operation, name, schemas)
    elif operation.is_command:
        parameters = [each for each in parameters if each["name"] != "command_id"]
        parameters.append({"name": "command_id", "in": "query", "required": False, "schema": COMMAND_ID})
    if operation.is_command or "command_id" in getattr(operation.body, "__struct_fields__", ()):
        parameters.append({"name": IDEMPOTENCY_KEY, "in": "header", "required": False, "schema": _KEY})
    if parameters:
        described["parameters"] = parameters
    described["responses"] = _responses(operation, schemas, is_ours=is_ours)
    return described


_KEY: Final = {**COMMAND_ID, "pattern": KEY_PATTERN, "description": "the same as command_id"}


def _path_schema(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "minLength": 1} if schema == {"type": "string"} else schema


def _query_parameters(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "required": name in schema["required"], "schema": without_null(field)}
        for name, field in schema["properties"].items()
    ]


def _request_body(operation: Operation, name: str, schemas: Schemas) -> dict[str, Any]:
    """Return the body, its schema by a name of its own: the same struct has other required fields elsewhere."""
    schema = schemas.resolved(operation.body)
    properties = dict(schema["properties"])
    if operation.is_command:
        properties["command_id"] = COMMAND_ID
    required = [*schema["required"], *operation.required]
    body = {**schema, "properties": properties, "required": required}
    reference = schemas.add(f"{name[:1].upper()}{name[1:]}Request", body)
    content: dict[str, Any] = {"schema": reference}
    if operation.example is not None:
        content["example"] = operation.example
    is_required = bool(required) or operation.needs_body
    return {"required": is_required, "content": {"application/json": content}}


def _responses(operation: Operation, schemas: Schemas, *, is_ours: bool) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, answer in {operation.status: operation.answer, **operation.also}.items():
        kinds = _answers(answer)
        content: dict[str, Any] = {"schema": schemas.one_of(kinds) if kinds else {"type": "string"}}
        if kinds:
            content["example"] = example_of(schemas.of(kinds[0]), schemas.components)
        responses[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": dict.fromkeys(operation.media_type.split(", "), content),
        }
    problems = set(operation.problems)
    if is_ours:
        problems |= {401, 422, 500, 503}
        problems |= {404} if operation.path_parameters() else set()
        problems |= {409} if operation.is_command else set()
        problems |= set() if operation.method in READ_METHODS and operation.right is None else {403}
        problems |= {400, 413} if operation.body is not None or operation.is_command else set()
    for status in sorted(problems):
        responses[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {PROBLEM_TYPE: {"schema": schemas.of(ProblemBody)}},
        }
    return responses


def _version() -> str:
    try:
        return version("faxhook")
    except PackageNotFoundError:  # run from a folder, not installed
        return "0"
