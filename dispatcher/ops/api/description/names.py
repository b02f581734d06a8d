"""Names of the API's description as a person would give them: of operations, and of schemas. Pure."""

import re
from collections.abc import Mapping
from typing import Any, Final

_OPERATIONS: Final[Mapping[tuple[str, str], str]] = {
    ("GET", "/livez"): "checkLiveness",
    ("GET", "/readyz"): "checkReadiness",
    ("GET", "/metrics"): "readMetrics",
    ("POST", "/v1/endpoints/{id}/tokens"): "rotateEndpointTokens",
    ("GET", "/v1/audit"): "listAuditEntries",
}
"""Those that do not follow from method and path."""

_VERBS: Final = {"POST": "create", "PATCH": "update", "PUT": "replace", "DELETE": "delete"}

_SCHEMAS: Final[Mapping[str, str]] = {
    "DeadAttempt": "DeadLetterAttempt",
    "DeadFilter": "DeadLetterFilter",
    "DeadGroup": "DeadLetterGroup",
    "DeadGroups": "DeadLetterGroups",
    "DeadPage": "DeadLetterPage",
    "Failure": "FaxFailure",
    "Health": "Readiness",
    "Media": "Document",
    "RemovalPreview": "EndpointRemovalPreview",
    "Removed": "RemovedEndpoint",
    "ReplayPreview": "JobPreview",
    "SampleOutcome": "TestOutcome",
    "Selection": "JobSelection",
    "TokenBody": "EndpointToken",
    "Untold": "UntoldEndpoint",
}
"""Those whose name in the code says too little outside of it."""


def operation_name(method: str, path: str) -> str:
    """Return the operation's id: a verb and what it is done to.

    >>> operation_name("GET", "/v1/endpoints"), operation_name("GET", "/v1/faxes/{provider}/{fax_id}")
    ('listEndpoints', 'getFax')
    >>> operation_name("POST", "/v1/endpoints"), operation_name("POST", "/v1/endpoints/{id}/pause")
    ('createEndpoint', 'pauseEndpoint')
    >>> operation_name("POST", "/v1/dead-letters/replay"), operation_name("GET", "/v1/dead-letters/groups")
    ('replayDeadLetters', 'listDeadLetterGroups')
    >>> operation_name("GET", "/v1/exports/faxes")
    'exportFaxes'
    """
    if (method, path) in _OPERATIONS:
        return _OPERATIONS[method, path]
    collection, *rest = path.removeprefix("/v1").strip("/").split("/")
    if collection == "exports":
        return "export" + _title(rest[0])
    is_item = bool(rest) and rest[0].startswith("{")
    literals = [part for part in rest if not part.startswith("{")]
    ends_with_item = bool(rest) and rest[-1].startswith("{")
    # An action on an item, or on a selection of them: its own word is the verb.
    if method == "POST" and literals and not _is_plural(literals[-1]):
        return _words(literals[-1])[0] + _title(_singular(collection) if is_item else collection)
    noun = _title(_singular(collection) if rest else collection) + "".join(map(_title, literals))
    if method == "GET":
        return "list" + noun if _is_plural(noun) and not ends_with_item else "get" + _singular(noun)
    return _VERBS[method] + _singular(noun)


def renamed(description: Any) -> Any:
    """Return *description* with schemas under the names that it shows."""
    schemas = description["components"]["schemas"]
    names = {name: _SCHEMAS.get(name, name.removesuffix("Body")) for name in schemas}
    found = _with_references(description, names)
    titled = {names[name]: {**schema, "title": names[name]} for name, schema in found["components"]["schemas"].items()}
    found["components"]["schemas"] = titled
    return found


def _with_references(part: Any, names: Mapping[str, str]) -> Any:
    if isinstance(part, dict):
        found = {name: _with_references(value, names) for name, value in part.items()}
        if isinstance(part.get("$ref"), str):
            found["$ref"] = _renamed_reference(part["$ref"], names)
        if isinstance(part.get("mapping"), dict):
            found["mapping"] = {tag: _renamed_reference(to, names) for tag, to in part["mapping"].items()}
        return found
    return [_with_references(each, names) for each in part] if isinstance(part, list) else part


def _renamed_reference(reference: str, names: Mapping[str, str]) -> str:
    before, _, name = reference.rpartition("/")
    return f"{before}/{names.get(name, name)}"


def _words(text: str) -> list[str]:
    return re.split(r"[-_]", text)


def _title(text: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in _words(text))


def _is_plural(word: str) -> bool:
    return word.endswith("s")


def _singular(word: str) -> str:
    """Return a plural's singular.

    >>> [_singular(word) for word in ("deliveries", "faxes", "dead-letters", "health")]
    ['delivery', 'fax', 'dead-letter', 'health']
    """
    if word.endswith("ies"):
        return word[:-3] + "y"
    return word.removesuffix("es") if word.endswith("xes") else word.removesuffix("s")
