"""The plan in docs/capacity.md is that of the code, one pod may be away at the peak, and no fax is in two queues."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs.generate.capacity import BUSY, MEASURED, MOST_PER_CELL, PAGE, page_with_tables, plan, queue_of, split

RATES = st.integers(min_value=1, max_value=1_000_000)


def test_the_tables_are_those_of_the_code() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page_with_tables(text) == text


def test_the_costs_that_the_page_names_are_those_that_it_computes_with() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for seconds in (MEASURED.ingress_seconds, MEASURED.dispatcher_seconds, MEASURED.ledger_seconds):
        assert f"| {seconds * 1e6:.0f} µs |" in text
    assert f"| {MEASURED.broker_seconds * 1e6:.0f} µs |" in text
    for size in (MEASURED.wal_bytes, MEASURED.ledger_bytes, MEASURED.kept_bytes):
        assert f"| {size:,.0f} |" in text


@given(RATES)
def test_with_a_pod_of_each_kind_away_the_others_stay_below_their_share_of_a_core(rate: int) -> None:
    planned = plan(rate)
    assert rate / planned.cells <= MOST_PER_CELL
    for pods, seconds in (
        (planned.ingress_pods, MEASURED.ingress_seconds),
        (planned.dispatcher_pods, MEASURED.dispatcher_seconds),
    ):
        left = pods / planned.cells - 1
        assert left >= 1
        assert rate / planned.cells * seconds / left <= BUSY * (1 + 1e-9)


@given(RATES, RATES)
def test_a_higher_rate_never_takes_less(one: int, other: int) -> None:
    less, more = plan(min(one, other)), plan(max(one, other))
    assert less.dispatcher_pods <= more.dispatcher_pods
    assert less.cells <= more.cells
    assert less.ledger_bytes <= more.ledger_bytes


@given(st.sampled_from(["phaxio", "telnyx"]), st.text(max_size=40), st.integers(1, 500))
def test_a_fax_has_one_queue(provider: str, fax_id: str, queues: int) -> None:
    assert queue_of(provider, fax_id, queues) == queue_of(provider, fax_id, queues) in range(queues)


@pytest.mark.parametrize("queues", [2, 8, 34])
def test_many_faxes_are_split_evenly(queues: int) -> None:
    assert 1 <= split([(str(number), 1) for number in range(100_000)], queues) < 1.1


def test_every_metric_and_setting_that_the_page_names_is_there() -> None:
    metrics = (PAGE.parent / "metrics.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(faxhook_[a-z_]+)`", PAGE.read_text(encoding="utf-8"))) <= set(
        re.findall(r"`(faxhook_[a-z_]+)`", metrics)
    )
