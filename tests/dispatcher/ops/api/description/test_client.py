"""A client that a generator makes of the description operates faxhook: names, bodies and unions are usable as they stand."""

import asyncio
import importlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import ModuleType
from typing import Any

import aiohttp
import msgspec
import pytest
from dispatchers import DispatcherHarness

from shared.runtime.service import Stop

Dispatching = Callable[..., AbstractAsyncContextManager[Stop]]


@pytest.fixture
def generate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[dict[str, Any]], Callable[[str], ModuleType]]]:
    """Makes a client of a description; returns what imports a module of it."""

    def make(description: dict[str, Any]) -> Callable[[str], ModuleType]:
        path = tmp_path / "openapi.json"
        path.write_bytes(msgspec.json.encode(description))
        program = str(Path(sys.executable).with_name("openapi-python-client"))
        arguments = [program, "generate", "--path", str(path), "--output-path", str(tmp_path / "faxhook_client")]
        settings = tmp_path / "settings.yaml"
        settings.write_text("post_hooks: []\ncontent_type_overrides: {image/png: application/octet-stream}\n")
        done = subprocess.run(
            [*arguments, "--meta", "none", "--config", str(settings)],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        said = done.stdout + done.stderr
        assert done.returncode == 0, said
        # The generator knows no NDJSON: an export is read as a file.
        assert said.count("WARNING") == said.count("Unsupported content_type application/x-ndjson"), said
        monkeypatch.syspath_prepend(str(tmp_path))
        return lambda name: importlib.import_module(f"faxhook_client.{name}")

    yield make
    for name in [each for each in sys.modules if each.startswith("faxhook_client")]:
        del sys.modules[name]


async def test_a_generated_client_adds_an_endpoint_once_reads_it_and_tells_a_preview_from_a_job(
    harness: DispatcherHarness, dispatching: Dispatching, unused_tcp_port: int, generate: Any
) -> None:
    url = f"http://127.0.0.1:{unused_tcp_port}"
    async with dispatching(OPS_TOKEN="ops-token"):
        async with aiohttp.ClientSession() as http, http.get(f"{url}/openapi.json") as response:
            description = await response.json()
        part = await asyncio.to_thread(generate, description)
        models, endpoints = part("models"), "api.endpoints"
        async with part("client").AuthenticatedClient(base_url=url, token="ops-token") as client:
            wanted = models.CreateEndpointRequest(url=harness.receiver.url, format_="standard-v1")
            create = part(f"{endpoints}.create_endpoint")
            first, again = [
                await create.asyncio(client=client, body=wanted, idempotency_key="a key of mine") for _ in range(2)
            ]
            assert isinstance(first, models.Endpoint)
            assert first == again, "the same key is the same command"
            listed = await part(f"{endpoints}.list_endpoints").asyncio(client=client)
            assert [each.id for each in listed.items] == [first.id]
            shown = await part(f"{endpoints}.get_endpoint").asyncio(first.id, client=client)
            assert [each.ends_with for each in shown.token_list] == [first.tokens[0][-4:]]
            replay = part("api.dead_letters.replay_dead_letters")
            everything = models.ReplayDeadLettersRequest(filter_=models.DeadLetterFilter(cause="timeout"), dry_run=True)
            preview = await replay.asyncio(client=client, body=everything)
            assert isinstance(preview, models.JobPreview)
            refused = await replay.asyncio(client=client, body=models.ReplayDeadLettersRequest())
            assert isinstance(refused, models.Problem)
            assert refused.status == 422
            gone = await part(f"{endpoints}.delete_endpoint").asyncio(first.id, client=client)
            assert isinstance(gone, models.RemovedEndpoint)
