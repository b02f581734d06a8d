"""Logs, metrics, health and refusals carry ids, types, codes and durations, whatever went through and went wrong."""

import asyncio
import dataclasses
import json
import re
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import callbacks
import pytest
from callbacks import SAMPLES, Outgoing
from mailserver import login_of, make_authority, relaying
from processes import SECRETS, ServiceProcess, running
from running_stack import RunningStack
from typer.testing import CliRunner
from waiting import until

from dispatcher.ops.cli import app
from shared.signatures import sign_phaxio

CALLER = "Zoë Secretname"
NUMBERS = ("+15551230000", "+15559870000", "+19459457421", "+13129457420", "+15550001111", "+15550002222")
TOKEN = "endpoint-token-secret"
URL_PASSWORD = "url-password"
MAIL_ADDRESS = "private.person@example.com"
MEDIA_QUERY = "signature=media-signature"
DOCUMENT = b"%PDF-1.4 confidential page"
OPS_TOKEN, OPS_READ_TOKEN = "ops-token-secret", "ops-read-token-secret"
SMTP_USER, SMTP_PASSWORD = "relay-user", "relay-password"


@dataclass
class Seen:
    """What can be read afterwards, by where."""

    texts: dict[str, str] = field(default_factory=dict)

    def add(self, where: str, text: str) -> None:
        self.texts[where] = self.texts.get(where, "") + text + "\n"

    def found(self, confidential: list[str], *places: str) -> list[tuple[str, str]]:
        shown = {where: text for where, text in self.texts.items() if not places or where in places}
        assert all(shown.values())
        return [(where, each) for where, text in shown.items() for each in confidential if each in text]


def good(spool: Path, media_url: str) -> list[Outgoing]:
    """Callbacks of all four providers, sent and received faxes, with documents of every kind."""
    fields = {"caller_name": CALLER, "to_number": NUMBERS[1], "recipients": [{"phone_number": NUMBERS[1]}]}
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.pdf"\r\n\r\n' + DOCUMENT + b"\r\n"
    fax = json.dumps({"id": 77, "status": "success", "direction": "received", "to_number": NUMBERS[0]})
    head = f'--b\r\nContent-Disposition: form-data; name="fax"\r\n\r\n{fax}\r\n'.encode()
    target = "/phaxio-inbound"
    signature = sign_phaxio(callbacks.PHAXIO_TOKEN, callbacks.PUBLIC_URL + target, [("fax", fax)], [("file", DOCUMENT)])
    meta = json.loads((SAMPLES / "sinch/incoming_fax.multipart.meta.json").read_text())
    (spool / "in.tiff").write_bytes(b"II*\0 confidential page")
    report = {"tiff_path": str(spool / "in.tiff"), "to_number": NUMBERS[4], "from_number": NUMBERS[5]}
    report |= {"faxstatus": "SUCCESS", "faxpages": "1", "uniqueid": "1603261234.89"}
    gone = report | {"tiff_path": str(spool / "gone.tiff"), "uniqueid": "1603261234.90"}
    secret = {"X-Internal-Secret": SECRETS["ASTERISK_INBOUND_SECRET"]}
    return [
        callbacks.phaxio(1, job_id="job-42", **fields),
        callbacks.phaxio_page(2, 1),
        callbacks.telnyx("e1", "f1"),
        callbacks.telnyx("e2", "f2", "fax.received", direction="inbound", media_url=media_url),
        Outgoing(
            target,
            {"Content-Type": "multipart/form-data; boundary=b", "X-Phaxio-Signature": signature},
            head + part + b"--b--\r\n",
        ),
        Outgoing(
            "/sinch-inbound",
            {"Content-Type": meta["content_type"], "Authorization": meta["basic_auth"]["header"]},
            (SAMPLES / "sinch/incoming_fax.multipart.bin").read_bytes(),
        ),
        *(Outgoing("/_internal/asterisk/inbound", secret, json.dumps(each).encode()) for each in (report, gone)),
    ]


def unreadable_and_bad() -> list[Outgoing]:
    secret = {"X-Internal-Secret": SECRETS["ASTERISK_INBOUND_SECRET"]}
    telnyx = callbacks.telnyx("e3", "f3")
    return [
        callbacks.phaxio_json(json.dumps({"note": CALLER, "from": NUMBERS[0]}).encode(), SECRETS["PHAXIO_API_SECRET"]),
        callbacks.phaxio_json(b'{"from": "%s", ' % NUMBERS[0].encode(), SECRETS["PHAXIO_API_SECRET"]),
        Outgoing("/_internal/asterisk/inbound", secret, json.dumps({"to_number": NUMBERS[1]}).encode()),
        dataclasses.replace(callbacks.phaxio(3, caller_name=CALLER), body=b"changed"),
        dataclasses.replace(telnyx, body=telnyx.body + b" "),
        Outgoing(
            "/sinch-inbound?secret=query-secret",
            {"Authorization": "Basic " + b64encode(b"sinch:guess").decode()},
            b"{}",
        ),
        Outgoing("/_internal/asterisk/inbound", {"X-Internal-Secret": "guessed-secret"}, b"{}"),
        Outgoing("/nowhere?token=query-secret", {"Authorization": "Bearer guessed-secret"}, CALLER.encode()),
        Outgoing("/phaxio-callback?job_id=job-42", {"Content-Type": f"text/{'x' * 20}"}, CALLER.encode()),
    ]


async def send_garbage(port: int, where: str, seen: Seen) -> None:
    for garbage in (
        f"POST /phaxio-callback?job_id=query-secret HTTP/9.9\r\nX: {CALLER}\r\n\r\n".encode(),
        b"GET /%ff?token=query-secret\r\nguessed-secret\r\n\r\n",
        b"POST /telnyx-webhook HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nquery-secret\r\n",
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(garbage)
        async with asyncio.timeout(5):
            seen.add(where, (await reader.read()).decode())
        writer.close()


async def ask_api(http: aiohttp.ClientSession, dispatcher: ServiceProcess, receiver_url: str, seen: Seen) -> None:
    bearer = {"Authorization": f"Bearer {OPS_TOKEN}"}
    url = receiver_url.replace("http://", f"http://user:{URL_PASSWORD}@")
    asked = [
        ("POST", {"url": url, "tokens": [TOKEN], "inflight": True}, bearer),
        ("POST", {"url": f"http://user:{URL_PASSWORD}@10.0.0.1/?{MEDIA_QUERY}"}, bearer),
        ("POST", {"url": f"ftp://user:{URL_PASSWORD}@x/"}, bearer),
        ("POST", {"url": f"http://user:{URL_PASSWORD}@[x/"}, bearer),
        ("POST", {"url": url, "tokens": [TOKEN + "\n"]}, bearer),
        ("POST", {"url": url, "format": "telnyx-v2", "tokens": [TOKEN]}, bearer),
        ("POST", {"url": url, "colour": TOKEN}, bearer),
        ("POST", {"url": url}, {"Authorization": "Bearer guessed-secret"}),
        ("GET", None, bearer),
        ("GET", None, {"Authorization": f"Bearer {OPS_READ_TOKEN}"}),
        ("PUT", {"token": TOKEN}, bearer),
    ]
    for number, (method, body, headers) in enumerate(asked):
        async with http.request(method, f"{dispatcher.url}/v1/endpoints", json=body, headers=headers) as response:
            assert (response.status < 300) == (number in {0, 8, 9}), await response.text()
            if number != 0:  # the one answer that shows the token, once
                seen.add("api", await response.text())
    async with http.get(f"{dispatcher.url}/v1/endpoints/query-secret?token={OPS_TOKEN}") as response:
        seen.add("api", await response.text())


async def look_at_platform(http: aiohttp.ClientSession, service: ServiceProcess, seen: Seen) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        async with http.get(service.url + path) as response:
            seen.add(f"{service.name} {path}", await response.text())


async def run_cli(environment: dict[str, str], seen: Seen) -> None:
    for arguments in (
        ["endpoints", "list"],
        ["endpoints", "list", "--json"],
        ["endpoints", "add", f"http://user:{URL_PASSWORD}@10.0.0.1/?{MEDIA_QUERY}"],
        ["endpoints", "add", f"ftp://user:{URL_PASSWORD}@x/", "--token", TOKEN],
        ["endpoints", "add", f"http://user:{URL_PASSWORD}@[x/"],
        ["endpoints", "add", "http://127.0.0.1/", "--format", "telnyx-v2", "--token", TOKEN],
        ["topology"],
    ):
        result = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=environment)
        seen.add("cli", result.output)
    broken = {**environment, "DATABASE_URL": f"postgresql://user:{URL_PASSWORD}@127.0.0.1:1/x"}
    for arguments in (["endpoints", "list"], ["migrate"]):
        result = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=broken)
        assert result.exit_code != 0
        seen.add("cli", result.output + repr(result.exception))


@pytest.mark.parametrize("log_format", ["json", "console"])
async def test_a_full_run_of_everything_good_and_bad_shows_nothing_confidential(
    running_stack: RunningStack, log_format: str, tmp_path: Path, unused_tcp_port_factory
) -> None:
    seen = Seen()
    spool = tmp_path / "spool"
    spool.mkdir()
    log = {"LOG_FORMAT": log_format, "LOG_LEVEL": "DEBUG"}
    ingress_settings = {
        **running_stack.ingress,
        **log,
        "INGRESS_PORT": str(unused_tcp_port_factory()),
        "ASTERISK_SPOOL_DIR": str(spool),
    }
    authority = make_authority(tmp_path)
    tls = {"tls_context": authority.server, "require_starttls": True}
    async with relaying(**tls, **login_of(SMTP_USER, SMTP_PASSWORD)) as relay:
        dispatcher_settings = {
            **running_stack.dispatcher,
            **log,
            "OPS_PORT": str(unused_tcp_port_factory()),
            "OPS_TOKEN": OPS_TOKEN,
            "OPS_READ_TOKEN": OPS_READ_TOKEN,
            "SMTP_URL": f"smtp+starttls://{SMTP_USER}:{SMTP_PASSWORD}@127.0.0.1:{relay.port}",
            "SSL_CERT_FILE": str(authority.ca_file),
            "MAIL_FROM": "Faxes <fax.sender@example.net>",
        }
        refused = f"http://user:{URL_PASSWORD}@127.0.0.1:{unused_tcp_port_factory()}/?tag=a%2Bb"
        await running_stack.endpoint(url=refused, tokens=(TOKEN,), inflight=True, failover_url=refused + "&failover=1")
        await running_stack.endpoint(url=f"http://user:{URL_PASSWORD}@no-such-host.invalid/?tag=a%2Bb", tokens=(TOKEN,))
        await running_stack.endpoint(url=f"mailto:{MAIL_ADDRESS}", tokens=())
        relay.on_rcpt = lambda relay, _server: f"550 {MAIL_ADDRESS} refused" if len(relay.mails) % 2 else "250 fine"
        media_url = f"{running_stack.receiver.base_url}/x.pdf?{MEDIA_QUERY}"
        running_stack.receiver.answer = lambda received: 200 if received.target.startswith("/x.pdf") else 500
        async with (
            running("ingress", ingress_settings) as ingress,
            running("dispatcher", dispatcher_settings) as dispatcher,
        ):
            await ask_api(running_stack.http, dispatcher, running_stack.receiver.url, seen)
            for outgoing in good(spool, media_url):
                status, answer = await outgoing.send(running_stack.http, ingress.url)
                assert (status, answer["status"]) == (200, "accepted"), answer
            for outgoing in unreadable_and_bad():
                status, answer = await outgoing.send(running_stack.http, ingress.url)
                assert status in {200, 400, 401, 404, 415}, answer
                seen.add("answers", json.dumps(answer, ensure_ascii=False))
            await send_garbage(ingress.port, "answers", seen)
            await send_garbage(dispatcher.port, "echo", seen)
            await until(lambda: relay.mails, "a mail was taken", 30)

            async def attempted() -> bool:
                return await running_stack.pool.fetchval("SELECT count(*) FROM attempts") >= 20

            await until(attempted, "attempts were made", 30)
            await run_cli(dispatcher_settings, seen)
            for service in (ingress, dispatcher):
                await look_at_platform(running_stack.http, service, seen)
        for service in (ingress, dispatcher):
            seen.add(f"{service.name} log", service.text + service.stderr)
    del seen.texts["echo"]  # the ops port's library repeats what is not HTTP to its sender; no one else reads it
    for event in ("callback.accepted", "callback.quarantined", "callback.refused", "media.missing"):
        assert event in seen.texts["ingress log"]
    for event in ("event.accepted", "attempt.made"):
        assert event in seen.texts["dispatcher log"]
    secrets = [
        *(
            SECRETS[name]
            for name in SECRETS
            if name not in {"PUBLIC_URL", "TELNYX_PUBLIC_KEY", "SINCH_INBOUND_BASIC_USER"}
        ),
        *(TOKEN, URL_PASSWORD, OPS_TOKEN, OPS_READ_TOKEN, SMTP_PASSWORD, "guessed-secret"),
        *(running_stack.amqp_url, running_stack.database_url, running_stack.dispatcher["SECRETS_KEY"]),
    ]
    contents = [
        *NUMBERS,
        *(
            CALLER,
            "Secretname",
            "job-42",
            MAIL_ADDRESS,
            "private.person",
            "confidential page",
            MEDIA_QUERY,
            "query-secret",
        ),
        *("tag=a%2Bb", "failover=1", b64encode(DOCUMENT).decode()[:20]),
        *(
            value
            for each in [*good(spool, media_url), *unreadable_and_bad()]
            for name, value in each.headers.items()
            if name not in {"Content-Type", "telnyx-timestamp"}
        ),
    ]
    contents += [number.removeprefix("+") for number in NUMBERS]
    # What people ask for by name shows URLs as they were set, without their passwords.
    operators = ("api", "cli")
    assert seen.found(secrets) == []
    assert seen.found(contents, *(where for where in seen.texts if where not in operators)) == []
    assert not re.search(
        r"[\w.]+@example\.(com|net)", seen.texts["dispatcher log"].replace("fax.sender@example.net", "")
    )
