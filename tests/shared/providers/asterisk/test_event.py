"""Asterisk: a dialplan's report is one event or none; what is uncertain is unreadable."""

import itertools
import json
from pathlib import Path

import pytest
from asterisk_callbacks import (
    ADAPTER,
    BODIES,
    GOOD,
    SAMPLES,
    T30_TEXTS,
    as_form,
    callback,
    event_of,
    parse,
    without,
)

from shared.callback import SpoolFile
from shared.domain import Direction, EventType, Failure, Phase
from shared.errors import Unreadable

# ---- the samples -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encode", [lambda body: json.dumps(body).encode(), as_form], ids=["json", "form"])
@pytest.mark.parametrize("sample", BODIES, ids=lambda sample: sample["name"])
def test_every_sample_has_its_expected_outcome_as_json_and_as_a_form(sample, encode):
    if sample["expect"] == "reject":
        with pytest.raises(Unreadable):
            parse(encode(sample["body"]))
        return
    event = event_of(encode(sample["body"]))
    expected = {"received": EventType.RECEIVED, "failed": EventType.RECEIVE_FAILED}[sample["expect"]]
    assert (event.type, event.phase, event.direction) == (expected, Phase.POSTFLIGHT, Direction.RECEIVED)
    assert (event.fax_id, event.to_number) == ("1603261234.89", "+15559870000")
    assert event.from_number == (sample["body"]["from_number"] or None)
    assert event.pages == (int(sample["body"]["faxpages"]) if sample["body"]["faxpages"] != "" else None)
    assert event.status == (sample["body"]["faxstatus"] or None)
    assert event.occurred_at is None


@pytest.mark.parametrize("name", ["asterisk_inbound_docs_2025.json", "asterisk_inbound_docs_2026.json"])
def test_faxbot_s_documentation_is_a_received_fax_with_its_file(name):
    body = json.loads((SAMPLES / "faxbot" / name).read_text())
    parsed = parse(body)
    assert parsed.event.type is EventType.RECEIVED
    assert parsed.document == SpoolFile(path=Path(body["tiff_path"]))


def test_faxbot_s_own_test_body_is_a_received_fax():
    sample = json.loads((SAMPLES / "faxbot" / "asterisk_inbound_test.json").read_text())
    made = callback(b"", headers=sample["headers"])
    assert ADAPTER.verify(made).by == "asterisk-secret"
    event = event_of({**sample["body"], "tiff_path": "/faxdata/in.tiff"})
    assert (event.type, event.fax_id, event.pages) == (EventType.RECEIVED, "abc123", 1)


# ---- the decision table ----------------------------------------------------------------------------------------------

ABSENT = object()
RECEIVED, FAILED, PARTIAL, NO_EVENT = "received", "failed", "failed, partial", "no event"
TABLE = [
    *itertools.product(["SUCCESS", "RECEIVED", "OK", "success", " Received "], ["2", 2, "", ABSENT, None], [RECEIVED]),
    *itertools.product(["SUCCESS", "RECEIVED", "OK"], ["0", 0, "00"], [FAILED]),
    *itertools.product([ABSENT], ["2", 0, "", ABSENT], [RECEIVED]),
    *itertools.product(["FAILED", "FAILURE", "failed", "", "  "], ["0", 0, "", " ", ABSENT, None], [FAILED]),
    *itertools.product(["FAILED", "FAILURE", "", "failure "], ["1", 7], [PARTIAL]),
    *itertools.product(["${FAXSTATUS}", "HANGUP", "PARTIAL", "!", 0, None, True, ["SUCCESS"]], ["2"], [NO_EVENT]),
    *itertools.product(
        ["SUCCESS", "FAILED", "", ABSENT], ["abc", "-1", "1.5", 1.5, 2.0, True, [], "٢", 2**31], [NO_EVENT]
    ),
]


@pytest.mark.parametrize(("status", "pages", "outcome"), TABLE)
def test_the_decision_table_is_kept(status, pages, outcome):
    body = without("faxstatus", "faxpages")
    body |= {} if status is ABSENT else {"faxstatus": status}
    body |= {} if pages is ABSENT else {"faxpages": pages}
    if outcome == NO_EVENT:
        with pytest.raises(Unreadable):
            parse(body)
        return
    parsed = parse(body)
    assert parsed.event.type is (EventType.RECEIVED if outcome == RECEIVED else EventType.RECEIVE_FAILED)
    assert parsed.event.partial is (outcome == PARTIAL)
    assert (parsed.document is not None) is (outcome in (RECEIVED, PARTIAL))


def test_the_minimal_body_of_faxbot_s_documentation_is_a_received_fax():
    event = event_of({"tiff_path": "/faxdata/in.tiff", "to_number": "+15559870000"})
    assert (event.type, event.status, event.pages) == (EventType.RECEIVED, None, None)


def test_an_absent_status_without_a_file_says_nothing():
    with pytest.raises(Unreadable, match="faxstatus"):
        parse(without("faxstatus", "tiff_path"))
    with pytest.raises(Unreadable, match="faxstatus"):
        parse(without("faxstatus", tiff_path=""))


@pytest.mark.parametrize("name", [*GOOD, "remotestationid", "brand_new"])
def test_an_unsubstituted_variable_in_any_field_makes_no_event(name):
    for encode in (lambda body: json.dumps(body).encode(), as_form):
        with pytest.raises(Unreadable, match="not substituted"):
            parse(encode({**GOOD, name: "x${" + name.upper() + "}"}))


def test_an_unsubstituted_variable_is_found_in_names_and_deep_inside_too():
    for extra in ({"${X}": 1}, {"deep": [{"er": "${X}"}]}, {"deep": {"${X}": None}}):
        with pytest.raises(Unreadable, match="not substituted"):
            parse({**GOOD, **extra})


def test_a_dollar_sign_alone_is_no_variable():
    assert event_of({**GOOD, "remotestationid": "$5 {fax} $"}).type is EventType.RECEIVED


# ---- one fax, one id -------------------------------------------------------------------------------------------------


def test_the_same_call_reported_twice_is_one_event_whatever_else_differs():
    variants = [
        event_of(GOOD),
        event_of(as_form(GOOD), content_type=None),
        event_of({**GOOD, "faxstatus": "received", "faxpages": 5, "from_number": ""}),
        event_of({**GOOD, "to_number": " 15559870000", "tiff_path": "/faxdata/other.tiff", "faxmode": "audio"}),
        event_of(without("tiff_path")),
    ]
    assert len({event.id for event in variants}) == 1
    assert variants[0].id.startswith("asterisk:")


def test_another_call_number_or_outcome_is_another_event():
    ids = {
        event_of(body).id
        for body in (GOOD, {**GOOD, "uniqueid": "1603261234.90"}, {**GOOD, "to_number": "+15559870001"})
    } | {event_of({**GOOD, "faxstatus": "FAILED"}).id}
    assert len(ids) == 4


def test_without_a_uniqueid_path_and_number_name_the_fax():
    bodies = [without("uniqueid"), {**GOOD, "uniqueid": ""}, {**GOOD, "uniqueid": None}, {**GOOD, "uniqueid": "  "}]
    events = [event_of(body) for body in bodies]
    assert len({(event.id, event.fax_id) for event in events}) == 1
    assert len(events[0].fax_id) == 32
    assert not events[0].fax_id.startswith("asterisk")
    others = [{"tiff_path": "/faxdata/other.tiff"}, {"to_number": "+15559870001"}]
    assert len({event_of(without("uniqueid", **other)).fax_id for other in [*others, {}]}) == 3


def test_both_outcomes_of_a_nameless_call_are_of_one_fax():
    good, bad = event_of(without("uniqueid")), event_of(without("uniqueid", faxstatus="FAILED"))
    assert good.fax_id == bad.fax_id
    assert good.id != bad.id


def test_a_uniqueid_that_looks_like_a_path_is_not_that_path():
    named = event_of({**without("tiff_path"), "uniqueid": "/faxdata/in.tiff"})
    unnamed = event_of(without("uniqueid", tiff_path="/faxdata/in.tiff"))
    assert named.id != unnamed.id


def test_without_uniqueid_and_path_no_one_can_tell_which_fax_it_was():
    with pytest.raises(Unreadable, match="which fax"):
        parse(without("uniqueid", "tiff_path"))


def test_a_uniqueid_written_as_a_number_may_have_lost_its_last_digits():
    with pytest.raises(Unreadable, match="uniqueid"):
        parse(json.dumps(GOOD).replace('"1603261234.89"', "1603261234.90").encode())


@pytest.mark.parametrize("unique_id", ["1603261234.89", "pbx-1603261234.89", "chosen by the caller ✓"])
def test_every_kind_of_uniqueid_is_the_fax_id(unique_id):
    assert event_of({**GOOD, "uniqueid": unique_id}).fax_id == unique_id


# ---- why it failed ---------------------------------------------------------------------------------------------------


def test_there_are_62_texts_of_t30():
    assert len(T30_TEXTS) == 62


@pytest.mark.parametrize("text", T30_TEXTS)
def test_every_text_of_t30_is_passed_on_as_the_reason_of_a_failure(text):
    event = event_of({**GOOD, "faxstatus": "FAILED", "FAXERROR": "HANGUP", "FAXSTATUSSTRING": text})
    assert event.failure == Failure(code="HANGUP", message=text)


def test_an_error_alone_is_its_own_message_and_without_any_none_is_invented():
    assert event_of({**GOOD, "faxstatus": "FAILED", "faxerror": "TIMEOUT"}).failure == Failure(
        code="TIMEOUT", message="TIMEOUT"
    )
    assert event_of({**GOOD, "faxstatus": "FAILED"}).failure is None


def test_success_without_pages_failed_for_a_reason_of_ours_because_asterisk_saw_none():
    event = event_of({**GOOD, "faxpages": "0", "faxerror": "HANGUP", "faxstatusstring": "OK"})
    assert (event.type, event.failure) == (EventType.RECEIVE_FAILED, Failure(message="no pages were received"))


def test_an_error_beside_success_decides_nothing():
    event = event_of({**GOOD, "faxerror": "HANGUP", "faxstatusstring": "OK"})
    assert (event.type, event.failure) == (EventType.RECEIVED, None)


def test_anonymous_callers_and_odd_numbers_are_no_error():
    event = event_of({**GOOD, "from_number": "", "to_number": "s"})
    assert (event.from_number, event.to_number) == (None, "s")
    assert event_of({**GOOD, "from_number": "sip:a@b", "to_number": 15559870000}).to_number == "+15559870000"


# ---- FreePBX ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "pages", "outcome"),
    [
        ('"FAILED: error: HANGUP statusstr: The call dropped prematurely"', "0", FAILED),
        ("FAILED: error: TIMEOUT", "", FAILED),
        ("'failed: no fax detected'", "2", PARTIAL),
        ('  "FAILURE (busy)" ', "0", FAILED),
        ('""', "0", FAILED),
        ("ERROR: T38_NEG_ERROR", "0", FAILED),
        ("NOT SUCCESSFUL", "0", FAILED),
        ("NO ANSWER", "0", FAILED),
        ('"SUCCESS"', "2", RECEIVED),
        ("Success: OK", "2", RECEIVED),
        ("SUCCESSFUL", "", RECEIVED),
        ('"received"', "1", RECEIVED),
        ("OK: all pages", "0", FAILED),
        ("\u201cFAILED: error\u201d", "0", FAILED),
        ('\\"FAILED\\"', "0", FAILED),
        ("[failed]", "0", FAILED),
        ("\ufeffSUCCESS\u200b", "2", RECEIVED),
        ("FAXSTATUS=FAILED", "0", FAILED),
        ('FAXSTATUS: "SUCCESS"', "2", RECEIVED),
        ("Fax received", "2", RECEIVED),
        ("FAX NOT RECEIVED", "0", FAILED),
        ("TIMEOUT", "0", FAILED),
        ("CHANUNAVAIL", "0", FAILED),
        ("ERR: 3", "0", FAILED),
        ("okay", "1", RECEIVED),
        ("FAX_FAILED", "0", FAILED),
        ("*FAILED*", "0", FAILED),
        ("Result: failed", "0", FAILED),
        ("FAXSUCCESS", "1", RECEIVED),
        ("FAXED", "1", NO_EVENT),
        ('"PARTIAL"', "1", NO_EVENT),
        ("OKRA", "1", NO_EVENT),
        ("NOTHING", "1", NO_EVENT),
        ("3", "1", NO_EVENT),
    ],
)
def test_a_status_is_read_by_how_it_begins_quotes_and_case_aside(status, pages, outcome):
    test_the_decision_table_is_kept(status, pages, outcome)


def test_the_rest_of_a_status_explains_the_failure_if_nothing_else_does():
    status = '"FAILED: error: HANGUP statusstr: The call dropped"'
    event = event_of({**without("faxerror", "faxstatusstring"), "faxstatus": status, "faxpages": "0"})
    assert event.failure == Failure(message="error: HANGUP statusstr: The call dropped")
    assert event.status == status


def test_quotes_of_the_dialplan_around_other_values_are_no_part_of_them():
    quoted = {name: f'"{value}"' for name, value in GOOD.items()}
    assert event_of(quoted).id == event_of(GOOD).id
    parsed = parse(quoted)
    assert (parsed.event.pages, parsed.event.to_number) == (2, "+15559870000")
    assert parsed.document == SpoolFile(path=Path(GOOD["tiff_path"]))


def test_a_blank_line_before_a_form_belongs_to_no_name():
    assert parse(b"\r\n" + as_form(GOOD) + b"\r\n").document == SpoolFile(path=Path(GOOD["tiff_path"]))
