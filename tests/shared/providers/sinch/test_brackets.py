"""Sinch: a form with bracketed names (`fax[id]`) is the same event as JSON."""

import json
from urllib.parse import urlencode

import pytest
from sinch_callbacks import FAX, PDF, event_of, multipart, parse

from shared.callback import Document
from shared.domain import EventType
from shared.errors import Unreadable

BRACKETED = {"event": "INCOMING_FAX", "fax[price][amount]": "0.07"} | {
    f"fax[{name}]": text for name, text in FAX.items()
}


@pytest.mark.parametrize("more", [{}, {"fax": ""}, {"fax": json.dumps({"id": "F1", "numberOfPages": 3})}])
def test_a_form_with_bracketed_names_is_the_same_event_as_json(more):
    as_json = event_of({"event": "INCOMING_FAX", "fax": FAX})
    fields = {**BRACKETED, **more}
    for content, content_type in (
        (urlencode(fields).encode(), "application/x-www-form-urlencoded"),
        multipart(list(fields.items())).values(),
    ):
        event = event_of(content, content_type=content_type)
        assert (event.id, event.type, event.from_number) == (as_json.id, as_json.type, as_json.from_number)
        assert event.fields["fax"]["price"] == {"amount": "0.07"}
        assert set(event.fields) == {"event", "fax"}


def test_a_form_with_bracketed_names_carries_its_file_and_lists():
    urls = [("fax[contentUrl][]", "https://a.example/1"), ("fax[contentUrl][]", "https://a.example/2")]
    parsed = parse(**multipart([*BRACKETED.items(), *urls], [("file", "application/pdf", PDF)]))
    assert parsed.document == Document(content=PDF, content_type="application/pdf")
    assert parsed.event.fields["fax"]["contentUrl"] == ["https://a.example/1", "https://a.example/2"]


def test_a_bracketed_event_holds_its_fax_as_in_json():
    event = event_of(urlencode({"event[fax][id]": "F1", "event[fax][status]": "COMPLETED"}).encode(), content_type=None)
    assert event.id == event_of({"event": {"fax": {"id": "F1", "status": "COMPLETED"}}}).id


@pytest.mark.parametrize(
    "more",
    [
        {"fax": json.dumps({**FAX, "id": "F2"})},
        {"fax": json.dumps({**FAX, "status": "FAILURE"})},
        {"fax": json.dumps({**FAX, "direction": "OUTBOUND"})},
        {"fax": "a text"},
    ],
)
def test_brackets_that_contradict_the_fax_beside_them_are_unreadable(more):
    with pytest.raises(Unreadable):
        event_of(urlencode({**BRACKETED, **more}).encode(), content_type=None)


@pytest.mark.parametrize("name", ["id", "status", "direction"])
def test_a_bracketed_name_that_decides_has_one_value(name):
    with pytest.raises(Unreadable, match="given twice"):
        event_of(urlencode([*BRACKETED.items(), (f"fax[{name}]", "another")]).encode(), content_type=None)


@pytest.mark.parametrize("name", ["fax[id", "fax]", "fax[a]b]", "fax[from][a]", "fax[x]" + "[x]" * 8, "other[id]"])
def test_what_is_not_bracketed_like_an_object_stays_as_it_came(name):
    event = event_of(urlencode({**BRACKETED, name: "stays"}).encode(), content_type=None)
    assert (event.fax_id, event.fields[name]) == ("F1", "stays")


@pytest.mark.parametrize(
    "to",
    [
        {"to[]": "+15550100102"},
        {"to[0]": "+15550100102"},
        {"to": '["+15550100102"]'},
        {"to": '[{"phoneNumber": "+15550100102"}]'},
        {"to": '"+15550100102"'},
        {"fax[to][]": "+15550100102"},
        {"fax[to][0]": "+15550100102"},
    ],
)
def test_a_list_of_one_number_is_that_number_however_a_form_writes_it(to):
    """Without its number, a received fax would be told to the endpoints of all numbers."""
    names = {"fax[id]": "F1", "fax[status]": "COMPLETED"} if any("fax" in name for name in to) else {"id": "F1"}
    fields = {"event": "INCOMING_FAX", **names, **to}
    assert event_of(urlencode(fields).encode(), content_type=None).to_number == "+15550100102"
    assert event_of(**multipart(list(fields.items()))).to_number == "+15550100102"


@pytest.mark.parametrize("word", ["null", '"null"', "None", "undefined", ""])
def test_an_event_that_a_form_says_is_absent_is_absent(word):
    fields = {"event": word, "id": "F1", "status": "received"}
    event = event_of(urlencode(fields).encode(), content_type=None)
    assert (event.type, event.id) == (
        EventType.RECEIVED,
        event_of({"event": None, "id": "F1", "status": "received"}).id,
    )


@pytest.mark.parametrize("name", ["event", "type", "name", "eventType", "event_type"])
def test_an_object_in_event_may_hold_the_event_s_name(name):
    fax = {"id": "F1", "direction": "OUTBOUND", "status": "EXPIRED"}
    event = event_of({"event": {name: "FAX_COMPLETED", "fax": fax}})
    assert (event.type, event.id) == (EventType.FAILED, event_of({"event": "FAX_COMPLETED", "fax": fax}).id)
