"""Examples for the API's description, made from its schemas: one fax, the same in every answer. Pure."""

from collections.abc import Mapping
from typing import Any, Final

_ID: Final = "0199d2a1-4c3e-7b52-9f10-6a3c55e0d1aa"

_VALUES: Final[Mapping[str, tuple[Any, ...]]] = {
    "provider": ("phaxio",),
    "fax_id": ("1234567",),
    "event_id": ("phaxio:1234567-fax.failed",),
    "job_id": ("referral-4711",),
    "type": ("fax.failed", "about:blank"),
    "phase": ("postflight",),
    "direction": ("sent",),
    "state": ("dead", "fax.failed", "done"),
    "status": ("failure", "ready", 422),
    "from_number": ("+15550100101",),
    "to_number": ("+15550100102",),
    "number": ("+15550100102",),
    "scope": ("global",),
    "match": ("+15550100102",),
    "url": ("https://app.example/faxes",),
    "endpoint_url": ("https://app.example/faxes",),
    "failover_url": ("https://standby.example/faxes",),
    "format": ("phaxio-v2.1",),
    "tokens": (["9b2f6f0c5f3d4c0e8a57"],),
    "token": ("9b2f6f0c5f3d4c0e8a57",),
    "ends_with": ("8a57",),
    "name": ("billing",),
    "pages": (3,),
    "cause": ("timeout",),
    "error": ("timeout",),
    "reason": ("the application was moved", "timeout"),
    "outcome": ("not_told",),
    "http_status": (503,),
    "who": ("operator",),
    "title": ("bad body",),
    "code": ("bad_body", "busy"),
    "detail": ("url: must begin with http://, https:// or mailto:",),
    "field": ("url",),
    "timeout_seconds": (15.0,),
    "seconds": (0.042,),
    "max_concurrent": (8,),
    "explanation": ("Given up after 17 attempts: it did not answer in time.",),
    "sentence": ("Its faxes go to no endpoint then.",),
    "answer": ("",),
    "crash": (None,),
    "next": (None,),
}
"""The first value that a field's schema allows is its example."""

_OF_FORMATS: Final[Mapping[str, str]] = {"uuid": _ID, "date-time": "2026-11-29T08:00:00Z"}

_OF_TYPES: Final[Mapping[str, Any]] = {"string": "…", "integer": 1, "number": 1.0, "boolean": False, "null": None}

_CHECKED: Final[Mapping[type, tuple[str, ...]]] = {
    str: ("string",),
    bool: ("boolean",),
    int: ("integer", "number"),
    float: ("number",),
    list: ("array",),
    type(None): ("null",),
}


def example_of(schema: Mapping[str, Any], components: Mapping[str, Any], name: str = "") -> Any:
    """Return an example of *schema*, the one of a field *name*; references lead to *components*."""
    if "$ref" in schema:
        return example_of(components[schema["$ref"].rpartition("/")[2]], components, name)
    for value in _VALUES.get(name, ()):
        if _allows(schema, components, value):
            return value
    if options := schema.get("anyOf", schema.get("oneOf")):
        return example_of(options[0], components, name)
    match schema.get("type"):
        case "object":
            return _object(schema, components)
        case "array":
            items = schema.get("items")
            return [example_of(items, components, name)] if isinstance(items, dict) and items else []
        case kind:
            constants = schema.get("enum", [schema["const"]] if "const" in schema else [])
            return (
                constants[0] if constants else _OF_FORMATS.get(schema.get("format", ""), _OF_TYPES.get(kind or "", {}))
            )


def _object(schema: Mapping[str, Any], components: Mapping[str, Any]) -> dict[str, Any]:
    required = schema.get("required", ())
    fields = schema.get("properties", {}).items()
    return {name: example_of(field, components, name) for name, field in fields if name in required}


def _allows(schema: Mapping[str, Any], components: Mapping[str, Any], value: Any) -> bool:
    if "$ref" in schema:
        return _allows(components[schema["$ref"].rpartition("/")[2]], components, value)
    options = schema.get("anyOf", schema.get("oneOf"))
    if options is not None:
        return any(_allows(option, components, value) for option in options)
    if "enum" in schema:
        return value in schema["enum"]
    return "format" not in schema and schema.get("type") in _CHECKED.get(type(value), ())
