"""A listed fax makes the event that its callback would have made, for every provider and type; nothing else is a list."""

import json
from datetime import timedelta
from itertools import product

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from provider_fax import WORDS, ProviderFax, as_json

from dispatcher.configuration.lists import Access
from dispatcher.lists.apis.base import id_of
from dispatcher.lists.apis.by_provider import list_api
from dispatcher.lists.errors import NotAList
from shared.domain import Provider, decode_event, encode_event, utc_now
from shared.errors import Unreadable

APIS = {
    name: list_api(
        Access(provider=Provider(name), url="https://api.example.com/v", user="user", secret="secret", account="a/b")
    )
    for name in WORDS
}
CASES = [(name, ending) for name, words in WORDS.items() for ending in words if ending != "under way"]
ROW = {
    "phaxio": lambda faxes, **more: {"success": True, "data": faxes, "paging": {"total": len(faxes), **more}},
    "telnyx": lambda faxes, **more: {"data": faxes, "meta": {"total_results": len(faxes), "total_pages": 1, **more}},
    "sinch": lambda faxes, **more: {"faxes": faxes, "totalItems": len(faxes), "totalPages": 1, **more},
}


def a_fax(provider: str, ending: str, **fields: object) -> ProviderFax:
    finished_at = utc_now() - timedelta(hours=1)
    fixed = {"created_at": finished_at, "finished_at": None if ending == "under way" else finished_at}
    return ProviderFax(**{"provider": provider, "fax_id": "77", "ending": ending, **fixed, **fields})


@pytest.mark.parametrize(("provider", "ending"), CASES)
def test_the_event_is_that_of_the_callback(provider: str, ending: str) -> None:
    fax = a_fax(provider, ending)
    told, listed = fax.event_of_callback(), APIS[provider].read_fax(as_json(fax), utc_now())
    event = listed.event
    assert event is not None
    assert event.origin == "list"
    assert event.type == ending == told.type
    assert decode_event(encode_event(event)) == event
    same = ("provider", "phase", "direction", "fax_id", "from_number", "to_number", "status", "failure", "partial")
    assert [getattr(event, name) for name in same] == [getattr(told, name) for name in same]
    assert listed.finished_at == fax.finished_at.replace(microsecond=fax.finished_at.microsecond // 1000 * 1000)
    assert listed.has_document == (ending == "fax.received")
    if provider == "telnyx":  # its list has neither the callback's id nor the pages
        assert event.id != told.id
        assert event.id.startswith("telnyx:")
    else:
        assert (event.id, event.pages, event.occurred_at) == (told.id, told.pages, told.occurred_at)
        assert event.fields["fax"] == told.fields["fax"]


@pytest.mark.parametrize("provider", WORDS)
def test_a_fax_under_way_has_no_event(provider: str) -> None:
    assert APIS[provider].read_fax(as_json(a_fax(provider, "under way")), utc_now()).event is None


@pytest.mark.parametrize(
    ("provider", "change", "is_ended"),
    [
        ("phaxio", {"status": "paused", "completed_at": None}, False),
        ("phaxio", {"status": "exploded"}, True),
        ("sinch", {"status": "PAUSED", "completedTime": None}, False),
        ("sinch", {"status": "EXPIRED"}, True),
        ("telnyx", {"status": "originated"}, False),
        ("telnyx", {"status": "no_such_word"}, False),
    ],
)
def test_a_word_that_we_do_not_know_is_an_ending_only_if_the_fax_has_the_time_of_one(
    provider: str, change: dict[str, object], *, is_ended: bool
) -> None:
    fax = a_fax(provider, "fax.failed", more=change)
    assert (APIS[provider].read_fax(as_json(fax), utc_now()).event is not None) is is_ended


@pytest.mark.parametrize(
    ("provider", "name"), [("telnyx", "webhook_url"), ("sinch", "callbackUrl")], ids=["telnyx", "sinch"]
)
def test_the_job_is_that_of_the_url_which_the_provider_would_have_called(provider: str, name: str) -> None:
    fax = a_fax(provider, "fax.delivered", more={name: "https://hooks.example.com/x?job_id=job%2F7&a=b"})
    assert APIS[provider].read_fax(as_json(fax), utc_now()).event.job_id == "job/7"


@pytest.mark.parametrize(
    "number",
    ["15550100102", " 15550100102", "+1 (555) 010-0102", "+15550100102"],
    ids=lambda text: text.strip(),
)
@pytest.mark.parametrize("provider", WORDS)
def test_numbers_in_other_notations_come_out_in_e164(provider: str, number: str) -> None:
    fax = a_fax(provider, "fax.received", to_number=number)
    assert APIS[provider].read_fax(as_json(fax), utc_now()).event.to_number == "+15550100102"


@pytest.mark.parametrize("number", ["sip:desk@pbx.example", "0555 010 0102", "0015550100102", "anonymous", "000"])
@pytest.mark.parametrize("provider", WORDS)
def test_a_number_in_a_notation_that_is_not_certain_stays_as_it_is_and_makes_the_event_of_the_callback(
    provider: str, number: str
) -> None:
    fax = a_fax(provider, "fax.received", to_number=number)
    event = APIS[provider].read_fax(as_json(fax), utc_now()).event
    assert event is not None
    assert event.to_number == number
    assert event.to_number == fax.event_of_callback().to_number


TIMES = ("2026-11-29T09:00:00", "1764403200", 1764403200, 0, -1, "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00",
         "9999-12-31T23:59:59-14:00", "10000-01-01T00:00:00Z", "yesterday", "", None, 1e300)  # fmt: skip


@pytest.mark.parametrize("at", TIMES, ids=str)
@pytest.mark.parametrize("provider", WORDS)
def test_whatever_time_a_list_names_its_fax_is_told_as_its_callback_would_be(provider: str, at: object) -> None:
    names = {"phaxio": ("created_at", "completed_at"), "telnyx": ("created_at", "updated_at"),
             "sinch": ("createTime", "completedTime")}[provider]  # fmt: skip
    fax = a_fax(provider, "fax.delivered", more=dict.fromkeys(names, at))
    listed = APIS[provider].read_fax(as_json(fax), utc_now())
    assert listed.event is not None
    assert listed.event.type == "fax.delivered"
    assert decode_event(encode_event(listed.event)) == listed.event
    for moment in (listed.created_at, listed.finished_at, listed.event.occurred_at):
        assert moment is None or moment.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<!doctype html><h1>Maintenance</h1>",
        b"null",
        b"[]",
        b"{}",
        b'{"success": false, "message": "over quota"}',
        b'{"success": true, "data": null}',
        b'{"data": null, "faxes": null}',
        b'{"data": {}, "faxes": {}}',
        b'{"errors": [{"code": "10015"}]}',
        b'{"success": false, "data": [], "faxes": [], "errors": [{"code": "10015"}], "error": "backend away"}',
        b'{"data": [',
        b"\xff\xfe\x00",
    ],
)
@pytest.mark.parametrize("provider", WORDS)
def test_what_is_not_a_list_is_never_an_empty_list(provider: str, body: bytes) -> None:
    with pytest.raises(NotAList, match=provider):
        APIS[provider].read_page(body, 1)


@pytest.mark.parametrize("provider", WORDS)
def test_a_page_has_its_faxes_and_says_whether_it_is_the_last(provider: str) -> None:
    api = APIS[provider]
    faxes = [a_fax(provider, "fax.delivered").listed()] * 2
    page = api.read_page(json.dumps(ROW[provider](faxes)).encode(), 1)
    assert (len(page.faxes), page.total, page.is_last) == (2, 2, True)
    assert id_of(bytes(page.faxes[0])) == "77"
    more = {"phaxio": {"total": 900, "per_page": 250}, "telnyx": {"total_pages": 4}, "sinch": {"totalPages": 4}}
    first, last = (api.read_page(json.dumps(ROW[provider](faxes, **more[provider])).encode(), n) for n in (3, 4))
    assert (first.is_last, last.is_last) == (False, True)


@pytest.mark.parametrize("provider", WORDS)
def test_the_window_and_the_key_are_asked_for_as_the_provider_documents_it(provider: str) -> None:
    since = utc_now().replace(microsecond=0)
    url = APIS[provider].page_url(since, since, 3)
    assert url.startswith("https://api.example.com/v/" + ("projects/a%2Fb/faxes?" if provider == "sinch" else "faxes?"))
    assert "secret" not in url
    assert "3" in url.partition("?")[2]


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)


@pytest.mark.parametrize(("provider", "ending"), list(product(WORDS, ("fax.received", "fax.failed"))))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(data=st.data())
def test_whatever_a_listed_fax_holds_it_is_read_or_unreadable(provider: str, ending: str, data: st.DataObject) -> None:
    listed = a_fax(provider, ending).listed()
    change = data.draw(st.dictionaries(st.sampled_from(sorted(listed)), anything, max_size=3))
    raw = msgspec.json.encode(listed | change)
    id_of(raw)
    try:
        fax = APIS[provider].read_fax(raw, utc_now())
    except Unreadable:
        return
    assert fax.event is None or decode_event(encode_event(fax.event)) == fax.event


@pytest.mark.parametrize("provider", WORDS)
def test_one_fax_is_asked_for_by_its_id_and_read_as_on_a_page(provider: str) -> None:
    fax = a_fax(provider, "fax.delivered").listed()
    answer = {"phaxio": {"success": True, "data": fax}, "telnyx": {"data": fax}, "sinch": fax}[provider]
    raw = APIS[provider].read_one(json.dumps(answer).encode())
    assert json.loads(raw) == fax
    assert id_of(raw) == "77"
    assert APIS[provider].fax_url("a/b?c").endswith("/faxes/a%2Fb%3Fc")


@pytest.mark.parametrize("body", [b"", b"<html>", b"null", b"[]", b'"text"', b'{"data": ', b"\xff"])
@pytest.mark.parametrize("provider", WORDS)
def test_what_is_not_a_fax_is_refused(provider: str, body: bytes) -> None:
    with pytest.raises(NotAList, match=provider):
        APIS[provider].read_one(body)
