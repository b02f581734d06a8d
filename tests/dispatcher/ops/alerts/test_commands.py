"""`faxhook alerts list|test`: what was told is listed, each way is tried, and what is wrong is said in a sentence."""

import asyncpg
import msgspec
from apis import faxhook
from mailserver import relaying
from receiver import Receiver
from standardwebhooks import Webhook

from dispatcher.alerts.kinds import Kind
from dispatcher.alerts.matters import raise_matter, resolve_matter

SECRET = "whsec_" + "QUJD" * 8


async def test_alerts_are_listed_by_state_and_kind(environment: dict[str, str], pool: asyncpg.Pool) -> None:
    assert (await faxhook(environment, "alerts", "list"))[1].strip() == "there are no alerts"
    await raise_matter(pool, Kind.SILENCE, "telnyx", "no fax for 5 h\x1b[31m")
    await raise_matter(pool, Kind.ENDPOINT_GONE, "one", "crm.example.com: gone")
    await resolve_matter(pool, Kind.ENDPOINT_GONE, "one")
    code, out, _ = await faxhook(environment, "alerts", "list", "--state", "open")
    assert (code, "No faxes come: no fax for 5 h" in " ".join(out.split())) == (0, True)
    assert "\x1b[31m" not in out
    assert "crm.example.com" not in out
    assert "no one yet" in out
    _, out, _ = await faxhook(environment, "alerts", "list", "--kind", "endpoint_gone", "--json")
    (found,) = msgspec.json.decode(out)["items"]
    assert (found["state"], [entry["what"] for entry in found["history"]]) == ("resolved", ["raised", "resolved"])


async def test_a_list_is_paged_without_loss(environment: dict[str, str], pool: asyncpg.Pool) -> None:
    for number in range(7):
        await raise_matter(pool, Kind.SILENCE, f"telnyx received +{number}", "no fax")
    found, after = [], []
    while True:
        _, out, _ = await faxhook(environment, "alerts", "list", "--json", "--limit", "3", *after)
        page = msgspec.json.decode(out)
        found += [each["subject"] for each in page["items"]]
        if page["next"] is None:
            break
        after = ["--after", page["next"]]
    assert found == [f"telnyx received +{number}" for number in reversed(range(7))]


async def test_bad_input_is_refused_with_a_sentence(environment: dict[str, str]) -> None:
    for arguments, said in (
        (("--state", "shut"), "--state: "),
        (("--kind", "nothing"), "--kind: "),
        (("--since", "soon"), "since: `soon` is not one of"),
        (("--after", "zzz"), "after"),
    ):
        code, _, err = await faxhook(environment, "alerts", "list", *arguments)
        assert (code, said in err) == (65, True), (arguments, err)


async def test_each_way_is_tried_and_the_one_that_fails_is_named(
    environment: dict[str, str], receiver: Receiver
) -> None:
    async with relaying() as relay:
        environment |= {
            "ALERT_URLS": f"{receiver.base_url}/s3cret,mailto:ops@example.com",
            "ALERT_SECRET": SECRET,
            "SMTP_URL": f"smtp://127.0.0.1:{relay.port}",
            "MAIL_FROM": "fax@example.net",
        }
        code, out, _ = await faxhook(environment, "alerts", "test")
        assert (code, out.splitlines()) == (0, [f"{receiver.base_url}/…: sent", "mailto:ops@example.com: sent"])
        assert relay.mails[0].message["Subject"].startswith("[faxhook] Test: an alert")
        (webhook,) = receiver.received
        assert Webhook(SECRET).verify(webhook.body, webhook.headers)["type"] == "alert.test"
        receiver.answer = lambda _received: 404
        code, out, _ = await faxhook(environment, "alerts", "test", "--json")
        tried = msgspec.json.decode(out)["items"]
        assert (code, [each["error"] for each in tried]) == (1, ["http_404", None])
    assert "s3cret" not in out


async def test_without_a_way_the_setting_is_named(environment: dict[str, str]) -> None:
    for changed, said in (
        ({}, "ALERT_URLS is not set"),
        ({"ALERT_URLS": "mailto:ops@example.com"}, "SMTP_URL is not set"),
        ({"ALERT_URLS": "https://example.com/x"}, "ALERT_SECRET is not set"),
    ):
        code, _, err = await faxhook({**environment, **changed}, "alerts", "test")
        assert (code, said in err) == (78, True), err
