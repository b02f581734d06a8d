"""The demo's report passes what must come of each sample, and names each event that is missing, repeated or out of order."""

from datetime import UTC, datetime

import pytest

from deploy.demo.report import COPIES, Recorded, Seen, judge, print_report
from deploy.demo.samples import expected_samples
from deploy.demo.settings import make_secrets
from dispatcher.ops.listener.listen import Listened


@pytest.fixture(scope="module")
def expected():
    variables = {**make_secrets(), "AMQP_URL": "amqp://x", "MEDIA_URL": "file:///x", "PUBLIC_URL": "http://a.example"}
    return expected_samples(variables, "http://a.example", "http://a.example/received.pdf")


@pytest.fixture
def seen(expected):
    """A demo in which all went well, inflight events first."""
    seen = Seen(sent=COPIES * len(expected))
    for each in sorted(expected, key=lambda each: each.is_ending):
        seen.answered[each.event.id] = COPIES
        seen.removed[each.event.id] = COPIES - 1
        if each.has_word:
            seen.recorded[each.event.id] = Recorded("told", None, 1)
            seen.heard.append(heard(each))
        else:
            seen.recorded[each.event.id] = Recorded("skipped", "no_equivalent", 0)
    return seen


def heard(each, **fields):
    defaults = {"at": datetime.now(UTC), "verified": True, "answered": 200, "what": "sent", "event_id": each.event.id}
    return Listened(**{**defaults, **fields})


def problems(expected, seen):
    return [problem for row in judge(expected, seen) for problem in row.problems]


def test_every_sample_is_another_event_and_what_is_inflight_has_an_ending(expected):
    assert len({each.event.id for each in expected}) == len(expected)
    endings = {each.fax for each in expected if each.is_ending}
    assert all(each.fax in endings for each in expected)
    assert any(each.has_word and not each.is_ending for each in expected)


def test_a_demo_in_which_all_went_well_has_no_problems(expected, seen, capsys):
    assert seen.is_settled(expected)
    assert problems(expected, seen) == []
    assert print_report(judge(expected, seen), seen, 1.0)
    assert f"{len(expected)} duplicates removed" in capsys.readouterr().out


def first(expected, seen, *, ending):
    return next(each for each in expected if each.has_word and each.is_ending is ending)


def test_what_is_missing_told_twice_unverified_or_not_removed_is_said(expected, seen, capsys):
    each = first(expected, seen, ending=True)
    seen.heard.append(heard(each))
    assert problems(expected, seen) == ["the listener got it 2 times, not 1"]
    seen.heard = [listened for listened in seen.heard if listened.event_id != each.event.id]
    assert "the listener got it 0 times, not 1" in problems(expected, seen)
    seen.heard.append(heard(each, verified=False, refused="no X-Phaxio-Signature"))
    assert problems(expected, seen)[-1] == "not verified: no X-Phaxio-Signature"
    seen.removed[each.event.id] = 0
    seen.answered[each.event.id] = 1
    assert {"1 of 2 callbacks were answered 200 with this event's id", "0 repetitions were removed, not 1"} <= set(
        problems(expected, seen)
    )
    assert not seen.is_settled(expected)
    assert not print_report(judge(expected, seen), seen, 1.0)
    assert f"MISSING  {each.event.provider} {each.sample.event_name}" in capsys.readouterr().out


def test_an_ending_may_not_be_overtaken_and_an_inflight_event_may(expected, seen):
    for ending, count in ((True, 2), (False, 0)):
        each = first(expected, seen, ending=ending)
        kept_heard, kept_recorded = seen.heard, dict(seen.recorded)
        seen.heard = [listened for listened in seen.heard if listened.event_id != each.event.id]
        seen.recorded[each.event.id] = Recorded("skipped", "overtaken", 0)
        # The ending's inflight events are then told, or held back, without one.
        assert len(problems(expected, seen)) <= count, problems(expected, seen)
        assert bool(problems(expected, seen)) is ending
        seen.heard, seen.recorded = kept_heard, kept_recorded


def test_an_inflight_event_that_is_told_after_the_ending_of_its_fax_is_a_broken_order(expected, seen):
    each = first(expected, seen, ending=False)
    seen.heard.sort(key=lambda listened: listened.event_id == each.event.id)
    assert problems(expected, seen) == ["it was told after its fax's ending"]


def test_a_webhook_that_was_not_sent_is_a_problem(expected, seen, capsys):
    seen.heard.append(heard(expected[0], event_id="phaxio:other"))
    assert not print_report(judge(expected, seen), seen, 1.0)
    assert "phaxio:other" in capsys.readouterr().out
