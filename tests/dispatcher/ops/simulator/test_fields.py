"""Changed fields are signed as they stand, a life is what its provider reports in order, and the PDF can be read."""

import re
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from made_samples import ALL, NOW, make, receive

from dispatcher.ops.simulator.bodies import SampleDraft, encode_draft
from dispatcher.ops.simulator.documents import sample_pdf
from dispatcher.ops.simulator.fields import BadChange, Change, apply_fields, parse_change
from dispatcher.ops.simulator.lives import life_of, repeat_and_shuffle
from dispatcher.ops.simulator.samples import UnknownSample, find, sample_fax

# ---- changes of single fields ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "change", "field", "value"),
    [
        ("phaxio", "fax.num_pages=9", "pages", 9),
        ("phaxio", "fax.from_number=+4722334455", "from_number", "+4722334455"),
        ("phaxio", "fax.is_test=false", "is_test", False),
        ("telnyx", "data.payload.page_count=9", "pages", 9),
        ("telnyx", "data.id=my-own", "id", "telnyx:my-own"),
        ("telnyx", "meta.attempt=3", "attempt", 3),
        ("sinch", "fax.numberOfPages=9", "pages", 9),
        ("sinch", "fax.to=+442071838750", "to_number", "+442071838750"),
        ("asterisk", "faxpages=9", "pages", 9),
        ("asterisk", "from_number=15550100103", "from_number", "+15550100103"),
    ],
)
def test_any_field_may_be_changed_and_is_signed_as_it_stands_then(provider, change, field, value):
    event = receive(make(provider, "received", changes=[parse_change(change)])).event
    assert getattr(event, field) == value


def test_a_field_may_be_taken_out_and_a_document_exchanged():
    sample = make("phaxio", "received", changes=[Change("fax.num_pages", None)], document=b"%PDF-other")
    received = receive(sample)
    assert received.event.pages is None
    assert received.document.content == b"%PDF-other"
    for provider in ("telnyx", "asterisk"):
        with pytest.raises(BadChange, match="no document"):
            make(provider, "received", document=b"x")


def test_a_bare_number_stays_text_where_the_sample_has_text_and_json_is_what_it_says():
    draft = SampleDraft(shape="json", fields={"text": "1", "number": 1, "list": [{"a": 1}], "nothing": None})
    changes = ["text=5", "number=5", "list.0.a=x", 'nothing={"a":[1]}', 'new="5"']
    fields, added = apply_fields(draft, [parse_change(change) for change in changes])
    assert fields.fields == {"text": "5", "number": 5, "list": [{"a": "x"}], "nothing": {"a": [1]}, "new": "5"}
    assert added == ("new",)
    assert draft.fields["list"] == [{"a": 1}]


ANY_TEXT = st.text(st.characters(codec=None))
PART = st.sampled_from(["fax", "recipients", "0", "9" * 5000, "-1", "status"]) | ANY_TEXT


@given(st.lists(PART, max_size=4), ANY_TEXT)
@example(["fax", "recipients", "9" * 5000], "1")
@example(["fax", "\udc80"], "1")
def test_whatever_is_typed_is_a_change_or_a_sentence(path, value):
    with suppress(BadChange):
        sample = find("phaxio", "received")[1].write(sample_fax("phaxio", NOW))
        draft, _ = apply_fields(sample, [parse_change(f"{'.'.join(path)}={value}")])
        assert encode_draft(draft).body


# ---- lives -----------------------------------------------------------------------------------------------------------

ENDINGS = [(provider, event) for provider, event in ALL if find(provider, event)[1].type.phase == "postflight"]


@pytest.mark.parametrize(("provider", "ending"), ENDINGS)
def test_a_life_is_what_the_provider_says_in_order_of_rank_and_time_each_a_different_event(provider, ending):
    steps = life_of(provider, ending, pages=3, ends_at=NOW)
    events = [
        receive(make(provider, step.event, fax_id="77", changes=step.changes, occurred_at=step.occurred_at)).event
        for step in steps
    ]
    assert steps[-1].event == ending
    assert [event.type.rank for event in events] == sorted(event.type.rank for event in events)
    assert len({event.id for event in events}) == len(events)
    assert len({event.direction for event in events}) == 1
    times = [step.occurred_at for step in steps]
    assert times == sorted(set(times))
    assert times[-1] == NOW
    assert len(events) == {
        ("phaxio", "sent-failure"): 7,
        ("phaxio", "sent-success"): 6,
        ("phaxio", "sent-partial"): 6,
        ("telnyx", "sent-success"): 4,
        ("telnyx", "sent-failure"): 4,
    }.get((provider, ending), 3 if provider == "telnyx" else 1)


def test_no_life_ends_with_what_is_no_ending():
    with pytest.raises(UnknownSample, match="sent-success, sent-failure"):
        life_of("telnyx", "queued", pages=1, ends_at=NOW)


def test_the_same_seed_is_the_same_order_and_nothing_is_lost_by_it():
    calm = repeat_and_shuffle([1, 2, 3], repeat=2, shuffle=False, seed=7)
    assert calm == [1, 1, 2, 2, 3, 3]
    wild = repeat_and_shuffle(range(20), repeat=3, shuffle=True, seed=7)
    assert wild == repeat_and_shuffle(range(20), repeat=3, shuffle=True, seed=7)
    assert wild != repeat_and_shuffle(range(20), repeat=3, shuffle=True, seed=8)
    assert sorted(wild) == sorted([*range(20)] * 3)


# ---- the documents ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "pages"), [("Sample", 1), ("(a) \\ b) Zoë", 3)])
def test_the_pdf_s_own_table_leads_to_each_of_its_objects(text, pages):
    pdf = sample_pdf(text, pages)
    start = int(re.search(rb"startxref\n(\d+)\n%%EOF\n$", pdf)[1])
    lines = pdf[start:].split(b"\n")
    size = int(lines[1].split()[1])
    assert (lines[0], size) == (b"xref", 6 + pages)
    for number in range(1, size):
        entry = lines[2 + number]
        assert len(entry) == 19  # and the line feed: 20 bytes, as the format demands
        assert pdf[int(entry[:10]) :].startswith(b"%d 0 obj\n" % number)
    length = int(re.search(rb"/Length (\d+)", pdf)[1])
    contents = pdf.partition(b"stream\n")[2].partition(b"\nendstream")[0]
    assert len(contents) == length
    assert len(sample_pdf("Sample fax 1")) < 1000
