"""Sends sample callbacks to the ingress, and puts the answers into words."""

import asyncio
import os
import shlex
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import aiohttp
import msgspec
from yarl import URL

from dispatcher.ops.files import replace
from dispatcher.ops.simulator.samples import SampleCallback
from dispatcher.ops.simulator.settings import VARIABLES

ANSWER_SECONDS: Final = 10.0
OK: Final = 200


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of the ingress."""

    http_status: int
    body: dict[str, Any]

    @property
    def event_id(self) -> str:
        """Id of the accepted event; empty if none was."""
        return str(self.body.get("event_id") or "")


async def send_all(base_url: str, provider: str, samples: Sequence[SampleCallback], every: float, as_json: bool) -> int:
    """Send *samples*, *every* so many seconds, and print each answer; return how many were answered 200."""
    accepted = 0
    async with aiohttp.ClientSession() as session:
        for number, sample in enumerate(samples):
            await asyncio.sleep(every if number else 0)
            answer = await send(session, base_url, sample)
            accepted += answer.http_status == OK
            shown = _json_of(provider, sample, answer) if as_json else _text_of(base_url, provider, sample, answer)
            print(shown, flush=True)  # a reader follows what is sent
    return accepted


def _text_of(base_url: str, provider: str, sample: SampleCallback, answer: Answer) -> str:
    sent = f"sent      {provider} {sample.event_name} of fax {sample.fax_id} to {base_url.rstrip('/')}{sample.target}"
    if answer.http_status == OK:
        return f"{sent}\nanswered  200 {answer.body.get('status')}: {answer.event_id or answer.body.get('callback_id')}"
    hint = {
        401: f" Are {VARIABLES[provider]} and PUBLIC_URL those of the ingress?",
        404: f" Is {provider} switched on at the ingress?",
    }.get(answer.http_status, "")
    code = answer.body.get("error", "")
    return f"{sent}\nanswered  {answer.http_status} {code}: {answer.body.get('detail', '')}.{hint}"


def _json_of(provider: str, sample: SampleCallback, answer: Answer) -> str:
    line = {
        "provider": provider,
        "event": sample.event_name,
        "type": sample.event_type,
        "fax_id": sample.fax_id,
        "target": sample.target,
        "bytes": len(sample.body),
        "http_status": answer.http_status,
        "answer": answer.body,
    }
    return msgspec.json.encode(line).decode()


async def send(session: aiohttp.ClientSession, base_url: str, sample: SampleCallback) -> Answer:
    """POST *sample* to the ingress at *base_url*."""
    url = URL(base_url.rstrip("/") + sample.target, encoded=True)
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
    async with session.post(
        url, data=sample.body, headers=sample.headers, timeout=timeout, allow_redirects=False
    ) as response:
        content = await response.read()
    try:
        body = msgspec.json.decode(content, type=dict[str, Any])
    except msgspec.DecodeError:  # not our ingress, or a proxy in front of it
        body = {"detail": content[:200].decode(errors="replace")}
    return Answer(http_status=response.status, body=body)


def curl_of(base_url: str, sample: SampleCallback, folder: Path) -> str:
    """Return the curl command that sends *sample*; a body that is not one line of text goes into a file in *folder*."""
    text = sample.body.decode("utf-8", "replace")
    if text.encode() == sample.body and text.isprintable() and not text.startswith("@"):
        data = text
    else:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{sample.path.strip('/').replace('/', '-')}-{sample.event_name}-{sample.fax_id}.bin"
        replace(path, sample.body)
        data = f"@{os.path.relpath(path) if path.is_relative_to(Path.cwd()) else path}"
    words = ["curl", "-sS", base_url.rstrip("/") + sample.target]
    for name, value in sample.headers.items():
        words += ["-H", f"{name}: {value}"]
    return shlex.join([*words, "--data-binary", data])


def reason_of(error: Exception) -> str:
    """Return why a request was not answered, in a word."""
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "host_not_found"
    cause = getattr(error, "os_error", error)
    if isinstance(cause, ConnectionRefusedError):
        return "refused"
    if isinstance(error, aiohttp.ClientSSLError) or isinstance(cause, ssl.SSLError):
        return "tls"
    return "reset" if isinstance(error, aiohttp.ServerDisconnectedError | ConnectionError) else "network"
