"""The schemas of structs for the API's description: each described once, explained by its docstring. Pure."""

import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

_TEMPLATE: Final = "#/components/schemas/{name}"
_ATTRIBUTE: Final = re.compile(r"^(\w+): ", re.MULTILINE)
_REFERENCE: Final = re.compile(r'"#/components/schemas/([^"]+)"')


class Schemas:
    """The schemas of *kinds* and of what they hold. *answered*: those that answers are made of."""

    def __init__(self, kinds: Sequence[Any], answered: Sequence[Any]) -> None:
        schemas, components = msgspec.json.schema_components(kinds, ref_template=_TEMPLATE)
        self.components: dict[str, Any] = dict(components)
        self._of = dict(zip(kinds, schemas, strict=True))
        for component in self.components.values():
            _explain(component)
        asked = {struct.__name__ for kind in kinds if kind not in answered for struct in _structs(kind)}
        for struct in {struct for kind in answered for struct in _structs(kind)}:
            if struct.__name__ not in asked and not struct.__struct_config__.omit_defaults:
                _require_defaults(self.components[struct.__name__])

    def of(self, kind: Any) -> dict[str, Any]:
        """Return the schema of one of the kinds: a reference, if it is a struct."""
        found: dict[str, Any] = self._of[kind]
        return found

    def resolved(self, kind: Any) -> Mapping[str, Any]:
        """Return the schema of a struct itself."""
        found: Mapping[str, Any] = self.components[str(self._of[kind]["$ref"]).rpartition("/")[2]]
        return found

    def one_of(self, kinds: Sequence[Any]) -> dict[str, Any]:
        """Return the schema of a body that is one of *kinds*, which bear tags, if there are several."""
        if len(kinds) == 1:
            return self.of(kinds[0])
        tags = [kind.__struct_config__ for kind in kinds]
        return {
            "oneOf": [self.of(kind) for kind in kinds],
            "discriminator": {
                "propertyName": tags[0].tag_field,
                "mapping": {tag.tag: self.of(kind)["$ref"] for tag, kind in zip(tags, kinds, strict=True)},
            },
        }

    def add(self, name: str, schema: Mapping[str, Any]) -> dict[str, str]:
        """Add a schema by *name*; return the reference to it."""
        self.components[name] = dict(schema)
        return {"$ref": _TEMPLATE.format(name=name)}

    def keep_used(self, description: Mapping[str, Any]) -> None:
        """Remove the schemas that nothing in *description*, which holds them all, refers to."""
        while unused := self.components.keys() - _REFERENCE.findall(msgspec.json.encode(description).decode()):
            for name in unused:
                del self.components[name]


def without_null(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a parameter, which may be absent but is never null."""
    kept = {name: value for name, value in schema.items() if name != "default" or value is not None}
    if "anyOf" not in kept:
        return kept
    options = [option for option in kept.pop("anyOf") if option != {"type": "null"}]
    return {**kept, **options[0]} if len(options) == 1 else {**kept, "anyOf": options}


def _structs(kind: Any) -> Iterator[type[msgspec.Struct]]:
    """Return the structs that a type names or holds."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield kind
        for field in msgspec.structs.fields(kind):
            yield from _structs(field.type)
    for part in typing.get_args(kind):
        yield from _structs(part)


def _require_defaults(component: dict[str, Any]) -> None:
    """Require the fields that have a default: an answer always bears them. Those that may be left out have none."""
    properties = component.get("properties", {})
    defaulted = [name for name, field in properties.items() if "default" in field and name not in component["required"]]
    component["required"] = [name for name in properties if name in {*component["required"], *defaulted}]
    for name in defaulted:
        properties[name] = {key: value for key, value in properties[name].items() if key != "default"}


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
