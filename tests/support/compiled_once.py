"""What every dispatcher of a test's process works out anew at its start, and always the same: done once in a process.

It is a third of what a start costs, and half of the suite starts dispatchers.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from types import CodeType
from typing import Any

import pytest
from jinja2 import BytecodeCache, Environment
from jinja2.bccache import Bucket

import dispatcher.ops.console.render
import dispatcher.ops.server
from dispatcher.ops.api.description.openapi import openapi
from dispatcher.ops.api.operation import Operation


class KeptTemplates(BytecodeCache):
    """Templates as they were compiled, by their text."""

    def __init__(self) -> None:
        self._compiled: dict[tuple[str, str], CodeType | None] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._compiled.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._compiled[bucket.key, bucket.checksum] = bucket.code


class KeptDescriptions:
    """`openapi`, which depends on the operations only: their methods are those of another API each time, no more."""

    def __init__(self) -> None:
        self._described: dict[tuple[tuple[str, str], ...], dict[str, Any]] = {}

    def __call__(self, operations: Sequence[Operation]) -> dict[str, Any]:
        key = tuple((operation.method, operation.path) for operation in operations)
        if key not in self._described:
            self._described[key] = openapi(operations)
        return self._described[key]


@contextmanager
def compiled_once() -> Iterator[None]:
    """Let the dispatchers that start in this process while the body runs share both."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(dispatcher.ops.server, "openapi", KeptDescriptions())
        kept = partial(Environment, bytecode_cache=KeptTemplates())
        patched.setattr(dispatcher.ops.console.render, "Environment", kept)
        yield
