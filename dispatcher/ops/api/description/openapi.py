"""The OpenAPI 3.1 description of operations, made from the structs that read and write their bodies. Pure."""

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import msgspec

from dispatcher.ops.api.http import PREFIX, READ_METHODS
from dispatcher.ops.api.idempotency import MOST_ID_CHARACTERS, REMEMBERED_SECONDS
from dispatcher.ops.api.operation import Operation
from dispatcher.ops.api.problems import ProblemBody

PROBLEM_TYPE: Final = "application/problem+json"
COMMAND_ID: Final[dict[str, Any]] = {
    "type": "string",
    "minLength": 1,
    "maxLength": MOST_ID_CHARACTERS,
    "description": f"the same id again within {REMEMBERED_SECONDS} seconds changes nothing and gets the first answer",
}
_PARAMETER: Final = re.compile(r"\{(\w+)(:[^{}]*)?\}")
_ATTRIBUTE: Final = re.compile(r"^(\w+): ", re.MULTILINE)


def openapi(operations: Sequence[Operation]) -> dict[str, Any]:
    """Return the description of *operations*."""
    # The schemas of all types at once, so that each is described once and referred to.
    kinds = _kinds(operations)
    schemas, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    schema_of = dict(zip(kinds, schemas, strict=True))
    for component in components.values():
        _explain(component)
    # aiohttp's paths without their patterns, which OpenAPI does not have.
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        path = _PARAMETER.sub(r"{\1}", operation.path)
        paths.setdefault(path, {})[operation.method.lower()] = _described(operation, path, schema_of, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "faxhook",
            "version": _version(),
            "description": "Operate faxhook. Errors are problems (RFC 9457) whose `code` is stable; lists are "
            "`items` and `next`, which goes into `after`.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "OPS_TOKEN, or to read only, OPS_READ_TOKEN",
                }
            },
        },
    }


def _kinds(operations: Sequence[Operation]) -> list[Any]:
    kinds: list[Any] = [ProblemBody]
    for operation in operations:
        kinds += [*_answers(operation.answer), operation.body, operation.query]
        kinds += [*operation.also.values(), *operation.path_parameters().values()]
    return list(dict.fromkeys(kind for kind in kinds if kind is not None))


def _answers(answer: Any) -> list[Any]:
    """Return the types of body that an answer may have."""
    return [] if answer is None else list(answer) if isinstance(answer, tuple) else [answer]


def _described(
    operation: Operation, path: str, schema_of: Mapping[Any, Any], components: Mapping[str, Any]
) -> dict[str, Any]:
    is_ours = path.startswith(PREFIX)
    described: dict[str, Any] = {
        "operationId": f"{operation.method.lower()}{re.sub(r'[^a-zA-Z0-9]+', '_', path)}".rstrip("_"),
        "summary": operation.summary,
        "tags": [path.removeprefix(PREFIX).partition("/")[0] if is_ours else "platform"],
        "security": [{"token": []}] if is_ours else [],
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": _path_schema(schema_of[kind])}
        for name, kind in operation.path_parameters().items()
    ]
    if operation.query is not None:
        parameters += _query_parameters(_resolved(schema_of[operation.query], components))
    if operation.body is not None:
        described["requestBody"] = _request_body(operation, _resolved(schema_of[operation.body], components))
    elif operation.is_command:
        parameters = [each for each in parameters if each["name"] != "command_id"]
        parameters.append({"name": "command_id", "in": "query", "required": False, "schema": COMMAND_ID})
    if parameters:
        described["parameters"] = parameters
    described["responses"] = _responses(operation, schema_of, is_ours=is_ours)
    return described


def _path_schema(schema: dict[str, Any]) -> dict[str, Any]:
    return {**schema, "minLength": 1} if schema == {"type": "string"} else schema


def _query_parameters(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "query", "required": name in schema["required"], "schema": _without_null(field)}
        for name, field in schema["properties"].items()
    ]


def _without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter, which may be absent but is never null."""
    kept = {name: value for name, value in schema.items() if name != "default" or value is not None}
    if "anyOf" not in kept:
        return kept
    options = [option for option in kept.pop("anyOf") if option != {"type": "null"}]
    return {**kept, **options[0]} if len(options) == 1 else {**kept, "anyOf": options}


def _request_body(operation: Operation, schema: Mapping[str, Any]) -> dict[str, Any]:
    properties = dict(schema["properties"])
    if operation.is_command:
        properties["command_id"] = COMMAND_ID
    required = [*schema["required"], *operation.required]
    body = {**schema, "properties": properties, "required": required}
    return {"required": bool(required), "content": {"application/json": {"schema": body}}}


def _responses(operation: Operation, schema_of: Mapping[Any, Any], *, is_ours: bool) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, answer in {operation.status: operation.answer, **operation.also}.items():
        options = [schema_of[kind] for kind in _answers(answer)] or [{"type": "string"}]
        schema = options[0] if len(options) == 1 else {"anyOf": options}
        responses[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {operation.media_type: {"schema": schema}},
        }
    problems = set(operation.problems)
    if is_ours:
        problems |= {401, 422, 500, 503}
        problems |= {404} if operation.path_parameters() else set()
        problems |= {409} if operation.is_command else set()
        problems |= set() if operation.method in READ_METHODS else {403}
        problems |= {400, 413} if operation.body is not None or operation.is_command else set()
    for status in sorted(problems):
        responses[str(status)] = {
            "description": HTTPStatus(status).phrase,
            "content": {PROBLEM_TYPE: {"schema": schema_of[ProblemBody]}},
        }
    return responses


def _resolved(schema: Mapping[str, Any], components: Mapping[str, Any]) -> Mapping[str, Any]:
    name = str(schema["$ref"]).rpartition("/")[2]
    resolved: Mapping[str, Any] = components[name]
    return resolved


def _explain(component: dict[str, Any]) -> None:
    """Turn a struct's docstring into descriptions: the text before `Attributes:` of the struct, the rest of fields."""
    text = component.get("description", "")
    whole, _, attributes = text.partition("Attributes:")
    component["description"] = " ".join(whole.split())
    # Two levels of indentation: an attribute, and the lines that continue it.
    lines = [line[8:] if line.startswith(" " * 8) else line.strip() for line in attributes.splitlines()]
    parts = _ATTRIBUTE.split("\n".join(lines))[1:]
    for name, description in zip(parts[::2], parts[1::2], strict=True):
        field = component.get("properties", {}).get(name)
        if field is not None and "$ref" not in field:
            field["description"] = " ".join(description.split())


def _version() -> str:
    try:
        return version("faxhook")
    except PackageNotFoundError:  # run from a folder, not installed
        return "0"
