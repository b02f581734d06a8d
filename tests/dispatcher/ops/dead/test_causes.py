"""Every cause's code belongs to at most one group, and a filter by group finds exactly the group's codes."""

import re

from hypothesis import given
from hypothesis import strategies as st

from dispatcher.ops.dead.causes import GROUPS, cause_in_words, delivery_codes, group_of
from dispatcher.ops.dead.letters import KINDS, Kind

CODES = st.one_of(
    st.integers(300, 599).map(lambda status: f"http_{status}"),
    st.sampled_from(["timeout", "tls", "gone", "stuck", "unreadable", "smtp_550", "proxy_502", "refused", "crashed"]),
    st.text(max_size=20),
)


@given(kind=st.sampled_from(KINDS), code=CODES)
def test_a_code_fits_at_most_one_group(kind: Kind, code: str) -> None:
    fitting = [group for group in GROUPS if kind in group.kinds and re.fullmatch(group.codes, code)]
    assert len(fitting) <= 1
    assert group_of(kind, code).key == (fitting[0].key if fitting else "other")


@given(code=CODES)
def test_a_filter_of_the_ledger_finds_the_code_itself_and_the_codes_of_the_group(code: str) -> None:
    for group in (*GROUPS, group_of("delivery", code)):
        if "delivery" not in group.kinds:
            continue
        codes, is_negated = delivery_codes(group.key)
        is_wanted = group.key in {code, group_of("delivery", code).key}
        assert (bool(re.fullmatch(codes.strip("^$"), code)) != is_negated) == is_wanted


def test_a_code_without_a_sentence_is_shown_as_it_is() -> None:
    assert [cause_in_words(code) for code in ("smtp_550", "tls", "?", None)] == [
        "it answered 550",
        "its TLS certificate or handshake failed",
        "?",
        "no reason was recorded",
    ]
