"""The API's description is complete, promises only what exists, and holds for every request made from it."""

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp
import msgspec
import pytest
import schemathesis
from aiohttp import web
from apis import OPERATOR, Api
from dispatchers import DispatcherHarness, an_event
from format_cases import RENDERED, case_id, form_of, render
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import positive_data_acceptance

from dispatcher.metrics import Metrics
from dispatcher.ops.api.description.openapi import openapi
from dispatcher.ops.api.description.webhooks import webhooks
from dispatcher.ops.api.platform import Platform
from shared.domain import EventType
from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]
HEADERS = {"Authorization": "Bearer ops-token"}
EXAMPLES = int(os.environ.get("API_EXAMPLES", "8"))
"""Of each operation, valid and broken each; more for a long run."""

SCHEMAS = "#/components/schemas/"
UNDESCRIBED = {"/openapi.json"}
PAGES = (
    *(
        "/login",
        "/logout",
        "/overview",
        "/exports",
        "/dead",
        "/deliveries",
        "/attempts",
        "/events",
        "/faxes",
        "/endpoints",
        "/accounts",
        "/alerts",
        "/audit",
        "/documents",
        "/tokens",
        "/console-assets",
    ),
    "/{path}",
)
"""Pages for browsers are not part of the API."""


async def description(port: int) -> dict[str, Any]:
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/openapi.json") as response:
        assert response.status == 200
        found: dict[str, Any] = await response.json()
        return found


@pytest.fixture
def apps(monkeypatch: pytest.MonkeyPatch) -> list[web.Application]:
    """The ops apps that a dispatcher made."""
    from dispatcher.ops import server as root  # noqa: PLC0415 - its own name for it is replaced

    made: list[web.Application] = []
    make = root.ops_app

    def kept(*arguments: Any) -> web.Application:
        made.append(make(*arguments))
        return made[-1]

    monkeypatch.setattr(root, "ops_app", kept)
    return made


async def test_every_route_is_described_and_everything_described_is_a_route(
    apps: list[web.Application], dispatching: Dispatching, unused_tcp_port: int
) -> None:
    async with dispatching():
        described = {
            (method.upper(), path)
            for path, methods in (await description(unused_tcp_port))["paths"].items()
            for method in methods
        }
    (app,) = apps
    routes = {
        (route.method, route.resource.canonical)
        for route in app.router.routes()
        if route.resource is not None and route.method not in {"HEAD", "OPTIONS"}
    }
    pages = {(method, path) for method, path in routes if path == "/" or path.startswith(PAGES)}
    assert described == {route for route in routes - pages if route[1] not in UNDESCRIBED}


async def test_the_description_names_problems_commands_and_what_a_field_means(
    dispatching: Dispatching, unused_tcp_port: int
) -> None:
    async with dispatching():
        found = await description(unused_tcp_port)
    assert found["openapi"] == "3.1.0"
    add = found["paths"]["/v1/endpoints"]["post"]
    assert add["operationId"] == "createEndpoint"
    assert add["requestBody"]["required"] is True
    assert add["requestBody"]["content"]["application/json"]["schema"] == {"$ref": f"{SCHEMAS}CreateEndpointRequest"}
    body = found["components"]["schemas"]["CreateEndpointRequest"]
    assert body["required"] == ["url"]
    assert {"command_id", "tokens", "max_concurrent"} <= body["properties"].keys()
    assert "application/problem+json" in add["responses"]["409"]["content"]
    remove = found["paths"]["/v1/endpoints/{id}"]["delete"]
    assert [each["name"] for each in remove["parameters"]] == ["id", "dry_run", "command_id", "Idempotency-Key"]
    answer = remove["responses"]["200"]["content"]["application/json"]["schema"]
    assert answer["discriminator"]["mapping"].keys() == {"removed", "preview"}
    assert "reason" in found["components"]["schemas"]["Job"]["required"], "an answer has all its fields"
    assert found["servers"]
    story = found["components"]["schemas"]["FaxStory"]
    assert story["properties"]["is_cut"]["description"].startswith("There are more events")
    assert "Attributes" not in story["description"]
    assert {"state", "conflicting", "events", "deliveries"} <= story["properties"].keys()


async def test_every_schema_is_used_and_every_example_holds(dispatching: Dispatching, unused_tcp_port: int) -> None:
    async with dispatching():
        found = await description(unused_tcp_port)
    text = msgspec.json.encode(found).decode()
    schemas = found["components"]["schemas"]
    assert [name for name in schemas if f'"{SCHEMAS}{name}"' not in text] == []
    names = [each["operationId"] for methods in found["paths"].values() for each in methods.values()]
    assert len(set(names)) == len(names)
    examined = 0
    for methods in (*found["paths"].values(), *found["webhooks"].values()):
        for name, content in contents(methods):
            if "example" in content:
                wanted = {**content["schema"], "components": found["components"]}
                Draft202012Validator(wanted).validate(content["example"])
                examined += 1
            else:
                assert content["schema"] in ({"$ref": f"{SCHEMAS}Problem"}, {"type": "string"}), name
    assert examined > len(names)


def contents(methods: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the contents of requests and answers, with their operation's name."""
    for each in methods.values():
        for holder in (each.get("requestBody", {}), *each["responses"].values()):
            for content in holder.get("content", {}).values():
                yield each["operationId"], content


@pytest.mark.parametrize(("format_name", "sample"), RENDERED, ids=case_id)
def test_whatever_is_rendered_is_a_webhook_as_described(format_name: str, sample: Any) -> None:
    (content,) = webhooks()[format_name]["post"]["requestBody"]["content"].values()
    webhook = render(format_name, sample)
    is_form = webhook.headers["Content-Type"].startswith("multipart/")
    Draft202012Validator(content["schema"]).validate(form_of(webhook) if is_form else msgspec.json.decode(webhook.body))


async def test_the_header_is_the_command_id_and_two_that_differ_are_refused(api: Api) -> None:
    path, body = "/v1/endpoints", {"url": "https://127.0.0.1/"}
    made = [await api.ask("POST", path, body, headers={**OPERATOR, "Idempotency-Key": "a key"}) for _ in range(2)]
    assert made[0] == made[1]
    status, same = await api.ask("POST", path, {**body, "command_id": "a key"})
    assert (status, same) == made[0]
    status, problem = await api.ask(
        "POST", path, {**body, "command_id": "b"}, headers={**OPERATOR, "Idempotency-Key": "c"}
    )
    assert (status, problem["field"]) == (422, "command_id")
    for key in ("é", "a key\u2028", "schlüssel"):
        preview = {"filter": {"provider": "phaxio", "fax_id": "1"}, "dry_run": True}
        headers = {**OPERATOR, "Idempotency-Key": key}
        status, problem = await api.ask("POST", "/v1/deliveries/resend", preview, headers=headers)
        assert (status, problem["field"]) == (422, "command_id")


def test_a_description_of_few_operations_needs_no_more_than_these() -> None:
    found = openapi(Platform(Metrics(), list).operations())
    assert set(found["paths"]) == {"/livez", "/readyz", "/metrics"}


async def filled(harness: DispatcherHarness) -> dict[str, list[str]]:
    """Fill the ledger; return what may stand in paths."""
    endpoint = await harness.endpoint(inflight=True)
    await harness.take(
        an_event(1, EventType.SENDING),
        an_event(1, EventType.DELIVERED, pages=1, to_number="+15550001"),
        an_event(2, EventType.FAILED, fax_id="a/b 1.2"),
    )
    delivery_id = await harness.pool.fetchval("SELECT id FROM deliveries LIMIT 1")
    await harness.pool.execute("UPDATE deliveries SET state = 'dead', reason = 'timeout' WHERE id = $1", delivery_id)
    return {
        "/v1/faxes/{provider}/{fax_id}": ["phaxio", "1"],
        "/v1/events/{id}": ["phaxio:1-fax.delivered"],
        "/v1/deliveries/{id}": [str(delivery_id)],
        "/v1/dead-letters/{id}": [str(delivery_id)],
        "/v1/endpoints/{id}": [str(endpoint.id)],
        "/v1/endpoints/{id}/tokens": [str(endpoint.id)],
        "/v1/endpoints/{id}/pause": [str(endpoint.id)],
        "/v1/endpoints/{id}/resume": [str(endpoint.id)],
        "/v1/endpoints/{id}/health": [str(endpoint.id)],
        "/v1/endpoints/{id}/test": [str(endpoint.id)],
        "/v1/endpoints/{id}/recover": [str(endpoint.id)],
    }


def ask_everything(description: dict[str, Any], url: str, known: dict[str, list[str]]) -> int:
    """Ask every operation what its description allows, and what it forbids; return how many requests it took."""
    schema = schemathesis.openapi.from_dict(description)
    asked = 0
    wrong: list[str] = []

    def examine(operation: Any, mode: GenerationMode, path_parameters: dict[str, str] | None) -> None:
        more = {} if path_parameters is None else {"path_parameters": path_parameters}

        @settings(
            max_examples=EXAMPLES,
            derandomize=True,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode, **more))
        def asks(case: Any) -> None:
            nonlocal asked
            asked += 1
            # What is well formed may still be refused: a cursor of another list, a host that does not resolve.
            case.call_and_validate(
                base_url=url, headers=HEADERS, timeout=20, excluded_checks=[positive_data_acceptance]
            )

        try:
            asks()
        except FailureGroup as group:  # all that is wrong shall be seen at once
            wrong.append(f"{operation.method} {operation.path}: {[str(each) for each in group.exceptions]}")
            wrong.append("".join(getattr(group, "__notes__", ())) or str(group)[:2_000])

    operations = [result.ok() for result in schema.get_all_operations()]
    # What removes what is known comes last.
    for operation in sorted(operations, key=lambda each: each.method == "delete"):
        names = [each["name"] for each in operation.definition.raw.get("parameters", ()) if each["in"] == "path"]
        takes_something = operation.definition.raw.keys() & {"parameters", "requestBody"}
        modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE) if takes_something else (GenerationMode.POSITIVE,)
        for mode in modes:
            examine(operation, mode, None)
        if operation.path in known:
            examine(operation, GenerationMode.POSITIVE, dict(zip(names, known[operation.path], strict=True)))
    assert not wrong, "\n\n".join(wrong)
    return asked


@pytest.mark.timeout(600 if EXAMPLES <= 50 else 36_000)
async def test_whatever_is_asked_is_answered_as_described(
    harness: DispatcherHarness, dispatching: Dispatching, unused_tcp_port: int
) -> None:
    known = await filled(harness)
    async with dispatching(OPS_TOKEN="ops-token"):
        found = await description(unused_tcp_port)
        asked = await asyncio.to_thread(ask_everything, found, f"http://127.0.0.1:{unused_tcp_port}", known)
    assert asked > 20 * EXAMPLES
