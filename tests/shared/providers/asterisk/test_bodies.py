"""Asterisk: a path outside of the spool makes no event, and a body is read by its content, whatever its type."""

import json
from pathlib import Path
from urllib.parse import urlencode

import pytest
from asterisk_callbacks import FORM, GOOD, SECRET, WITHOUT_SPOOL, as_form, event_of, parse, without

from shared.callback import SpoolFile
from shared.domain import EventType
from shared.errors import Unreadable
from shared.providers.asterisk.adapter import AsteriskAdapter

# ---- the path --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "/faxdata/../etc/passwd",
        "/faxdata/inbound/../../etc/passwd",
        "/etc/passwd",
        "/faxdata-other/in.tiff",
        "/faxdata",
        "/faxdata/",
        "/faxdata/inbound/..",
        "in.tiff",
        "./faxdata/in.tiff",
        "../faxdata/in.tiff",
        "/faxdata/in\0.tiff",
        "/faxdata/in\udce9.tiff",
        "file:///faxdata/in.tiff",
    ],
)
@pytest.mark.parametrize("status", ["SUCCESS", "FAILED"])
def test_a_path_that_does_not_lie_in_the_spool_makes_no_event(path, status):
    with pytest.raises(Unreadable):
        parse({**GOOD, "tiff_path": path, "faxstatus": status})


@pytest.mark.parametrize(
    "path", ["/faxdata/in.tiff", "//faxdata//./in.tiff", "/faxdata/x/../in.tiff", " /faxdata/in.tiff "]
)
def test_a_path_inside_is_read_from_where_it_really_leads(path):
    assert parse({**GOOD, "tiff_path": path}).document == SpoolFile(path=Path("/faxdata/in.tiff"))


def test_a_spool_folder_written_otherwise_is_the_same_folder():
    adapter = AsteriskAdapter(secrets=[SECRET], spool_dir=Path("//faxdata/./x/.."))
    assert parse(GOOD, adapter).document == SpoolFile(path=Path(GOOD["tiff_path"]))


@pytest.mark.parametrize("path", [None, "", "  "])
def test_without_a_path_the_event_goes_out_without_a_document(path):
    parsed = parse({**GOOD, "tiff_path": path})
    assert (parsed.event.type, parsed.document) == (EventType.RECEIVED, None)
    assert event_of({**GOOD, "tiff_path": path, "faxstatus": "FAILED"}).partial


def test_without_a_spool_folder_the_path_is_kept_as_text_and_nothing_is_read():
    for path in (GOOD["tiff_path"], "/anywhere/else.tiff", "relative.tiff"):
        parsed = parse({**GOOD, "tiff_path": path}, WITHOUT_SPOOL)
        assert (parsed.document, parsed.event.fields["tiff_path"]) == (None, path)


@pytest.mark.parametrize("value", [7, ["/faxdata/in.tiff"], {}, True])
def test_a_path_that_is_no_text_is_unreadable(value):
    with pytest.raises(Unreadable):
        parse({**GOOD, "tiff_path": value})


# ---- the encoding ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("content_type", [None, "", FORM, "application/json", "text/plain", "x", "text/x; charset=y"])
def test_a_body_is_read_by_what_it_is_whatever_its_content_type(content_type):
    events = [event_of(as_form(GOOD), content_type=content_type), event_of(GOOD, content_type=content_type)]
    assert events[0] == events[1]
    assert events[0].type is EventType.RECEIVED


def test_a_multipart_form_is_read_too():
    parts = "".join(f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{GOOD[name]}\r\n' for name in GOOD)
    event = event_of((parts + "--b--\r\n").encode(), content_type="multipart/form-data; boundary=b")
    assert event == event_of(GOOD)


def test_blanks_before_the_json_do_not_make_a_form_of_it():
    assert event_of(b"\r\n  " + json.dumps(GOOD).encode()).type is EventType.RECEIVED


def test_a_plus_sign_that_the_form_lost_is_put_back():
    body = as_form(GOOD).replace(b"%2B", b"+")
    event = event_of(body, content_type=FORM)
    assert (event.to_number, event.from_number) == ("+15559870000", "+15551230000")
    assert event.id == event_of(GOOD).id


@pytest.mark.parametrize("encode", [lambda body: json.dumps(body).encode(), as_form], ids=["json", "form"])
def test_station_ids_with_anything_in_them_are_kept_as_they_are(encode):
    station = 'Zoë\'s "Fax" & Co +1; DROP TABLE'
    assert event_of(encode({**GOOD, "remotestationid": station})).fields["remotestationid"] == station


def test_names_of_variables_are_understood_in_capitals():
    assert event_of({name.upper(): value for name, value in GOOD.items()}).id == event_of(GOOD).id
    with pytest.raises(Unreadable):
        parse({**without("faxstatus"), "FAXSTATUS": "${FAXSTATUS}"})
    assert event_of({**without("faxstatus"), "FAXSTATUS": "FAILED"}).type is EventType.RECEIVE_FAILED


@pytest.mark.parametrize("name", [*GOOD])
def test_a_field_that_says_two_things_is_unreadable(name):
    twice = as_form(GOOD) + b"&" + urlencode({name: "other"}).encode()
    with pytest.raises(Unreadable, match="twice"):
        parse(twice, content_type=FORM)
    with pytest.raises(Unreadable, match="twice"):
        parse({**GOOD, name.upper(): "other"})


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b"null", b"7", b"\xff\xfe", b"hello", b"{}", b"=", b"--b\r\n", b'"x"']
)
def test_what_tells_of_no_fax_is_unreadable(body):
    for content_type in ("application/json", FORM, None, "multipart/form-data; boundary=b", "multipart/form-data"):
        with pytest.raises(Unreadable):
            parse(body, content_type=content_type)


def test_nothing_that_was_sent_is_thrown_away():
    body = {**GOOD, "faxbitrate": "14400", "faxmode": "T38", "extra": {"deep": [1, None]}}
    assert event_of(body).fields == body
