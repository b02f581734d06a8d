"""Every wrong field of an endpoint's form is named at once, marked, and keeps what was typed."""

import re

import pytest
from browser_sessions import BrowserSession
from dispatchers import STORE, DispatcherHarness

FORM = {"scope": "global", "direction": "sent", "format": "phaxio-v2.1", "signing": "generate", "max_concurrent": "8"}
WRONG = {
    "url": "ftp://app.example.com/",
    "failover_url": "nowhere",
    "timeout_seconds": "soon",
    "max_concurrent": "1.5",
    "types": "fax.lost",
    "headers": "X-Faxhook-Event-Id: 1\nHost: x",
    "format": "phaxio-v9",
    "description": "x" * 300,
}
INVALID = re.compile(r'name="(\w+)"[^>]*aria-invalid="true" aria-describedby="(\w+)-wrong"')


@pytest.mark.parametrize("is_new", [True, False], ids=["new", "changed"])
async def test_all_wrong_fields_are_reported_at_once(
    session: BrowserSession, harness: DispatcherHarness, is_new: bool
) -> None:
    endpoint = await harness.endpoint(url=harness.receiver.url, description="Billing", tokens=("the-first-token",))
    await session.log_in()
    path = "/endpoints/new" if is_new else f"/endpoints/{endpoint.id}"
    page = await session.post(path, {**FORM, **WRONG})
    assert page.status == 422
    marked = INVALID.findall(page.text)
    assert sorted(name for name, _ in marked) == sorted(WRONG)
    assert all(name == described for name, described in marked), "each says what is wrong with it"
    assert page.text.count("autofocus") == 1, "the first wrong field has the focus"
    (alert,) = re.findall(r'<div class="notice bad" role="alert">(.*?)</div>', page.text, re.DOTALL)
    for name, typed in WRONG.items():
        assert f'id="{name}-wrong"' in page.text, name
        assert typed.replace("'", "&#39;") in page.text or name == "format", "what was typed stays"
    named = re.findall(r'<a href="#(\w+)">[A-Z]', alert)
    assert named == [name for name, _ in marked], "named as the form names them, in the order of the form"
    assert "mailto:." not in alert
    (headers,) = re.findall(r'id="headers-wrong">(.*?)</span>', page.text)
    assert ("X-Faxhook-Event-Id" in headers, "Host" in headers) == (True, True), "each of its lines"
    assert await STORE.everything(harness.pool) == [endpoint], "nothing was changed"
    head = page.text.partition(alert)[0]
    assert WRONG["url"] not in head, "above the form stands what it is, not what was typed"


@pytest.mark.parametrize(
    ("fields", "contradicting", "sentence"),
    [
        ({"scope": "number", "number": "seven"}, "number", "must be a number in E.164"),
        (
            {"scope": "fax", "job_id": "7", "provider": "phaxio", "fax_id": "1"},
            "fax_id",
            "must hold either provider and fax_id, or job_id alone",
        ),
        (
            {"url": "http://user:pass@127.0.0.1:1/fax", "headers": "Authorization: Bearer x"},
            "headers",
            "Authorization",
        ),
        ({"url": "mailto:fax@example.com", "headers": "X-Tenant: 7"}, "headers", "a mailto url gets mail"),
    ],
    ids=["number", "fax", "login", "mail"],
)
async def test_fields_that_contradict_each_other_are_reported_beside_the_others(
    session: BrowserSession, harness: DispatcherHarness, fields: dict[str, str], contradicting: str, sentence: str
) -> None:
    await session.log_in()
    form = {**FORM, "url": harness.receiver.url, **fields, "timeout_seconds": "900", "max_concurrent": "many"}
    page = await session.post("/endpoints/new", form)
    assert page.status == 422
    assert {name for name, _ in INVALID.findall(page.text)} == {contradicting, "timeout_seconds", "max_concurrent"}
    beside = page.text.partition(f'id="{contradicting}-wrong">')[2].partition("</span>")[0]
    assert sentence in re.sub("<[^>]*>", "", beside)
    assert await STORE.everything(harness.pool) == []
