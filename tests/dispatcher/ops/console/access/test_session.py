"""A session holds on every process with the same tokens, for its time and its role only."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dispatcher.ops.access.rights import OPERATOR, READER, Right
from dispatcher.ops.console.access.session import (
    SESSION_SECONDS,
    Expired,
    Role,
    Session,
    Sessions,
    cleaned_name,
    safe_return_path,
)

START = 1_000_000.0


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        return self.now


def sessions(token: str = "ops", read_token: str | None = "read", clock: Clock | None = None) -> Sessions:
    return Sessions(token, read_token, clock or Clock())


def test_a_session_holds_on_every_process_with_the_same_tokens() -> None:
    cookie = sessions().open(Role.OPERATOR, "Ada")
    session = sessions().read(cookie)
    assert isinstance(session, Session)
    assert (session.role, session.name, session.may_change) == (Role.OPERATOR, "Ada", True)
    assert sessions().form_token(session) == sessions().form_token(session)


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.READER])
def test_a_changed_ops_token_ends_every_session(role: Role) -> None:
    assert sessions(token="another").read(sessions().open(role, "")) is None


def test_the_session_of_a_named_token_has_its_name_and_rights_and_ends_with_it() -> None:
    clock = Clock()
    cookie = sessions(clock=clock).open_named(READER, until=START + 60)
    session = sessions(clock=clock).read(cookie)
    assert isinstance(session, Session)
    assert (session.who, session.may_change, session.rights) == ("reader", False, {Right.READ})
    assert sessions(token="another").read(cookie) is None
    clock.now += 60
    assert isinstance(sessions(clock=clock).read(cookie), Expired)
    assert isinstance(sessions(clock=clock).read(sessions(clock=clock).open_named(READER)), Session)


def test_a_changed_read_token_ends_the_readers_sessions_only() -> None:
    changed = sessions(read_token="another")
    assert changed.read(sessions().open(Role.READER, "")) is None
    assert isinstance(changed.read(sessions().open(Role.OPERATOR, "")), Session)
    assert sessions(read_token=None).read(sessions().open(Role.READER, "")) is None


def test_a_session_ends_after_its_time_and_says_so() -> None:
    clock = Clock()
    cookie = sessions(clock=clock).open(Role.READER, "")
    clock.now += SESSION_SECONDS - 1
    assert isinstance(sessions(clock=clock).read(cookie), Session)
    clock.now += 1
    assert isinstance(sessions(clock=clock).read(cookie), Expired)


def test_a_reader_whose_token_equals_the_operators_is_an_operator_and_keys_still_differ() -> None:
    same = sessions("one", "one")
    assert same.role_of("one") is Role.OPERATOR
    reader = same.read(same.open(Role.READER, ""))
    assert isinstance(reader, Session)
    assert not reader.may_change


def test_the_key_says_the_role_and_not_what_the_cookie_claims() -> None:
    ours = sessions()
    claim = Session(id="x", role=Role.OPERATOR, name="", expires_at=START + 60, rights=OPERATOR.rights)
    assert ours.read(ours._fernets[Role.READER].encrypt(msgspec.json.encode(claim)).decode()) is None


def test_only_whole_tokens_open_a_session() -> None:
    assert [sessions().role_of(each) for each in ("ops", "read", "op", "ops ", "", "öps\ud800")] == [
        Role.OPERATOR,
        Role.READER,
        None,
        None,
        None,
        None,
    ]
    assert sessions(read_token=None).role_of("") is None


@given(st.integers(0, 200), st.integers(1, 255))
def test_a_cookie_with_any_byte_changed_is_refused(position: int, change: int) -> None:
    ours = sessions()
    cookie = ours.open(Role.READER, "").encode()
    position %= len(cookie)
    changed = bytes([*cookie[:position], cookie[position] ^ change, *cookie[position + 1 :]]).decode("latin-1")
    found = ours.read(changed)
    # Base64 has bits at its end that say nothing; what opens must be what was sealed.
    assert found is None or found == ours.read(cookie.decode())


@given(st.text())
def test_no_text_is_taken_for_a_cookie_or_breaks_the_reading(text: str) -> None:
    assert sessions().read(text) is None


def test_what_is_sealed_for_one_session_is_unread_in_another() -> None:
    ours = sessions()
    first, second = (ours.read(ours.open(Role.OPERATOR, "")) for _ in range(2))
    assert isinstance(first, Session)
    assert isinstance(second, Session)
    sealed = ours.seal(first, "a token")
    assert ours.unseal(first, sealed, 60) == "a token"
    assert ours.unseal(second, sealed, 60) is None
    assert ours.unseal(first, "nonsense", 60) is None
    assert ours.form_token(first) != ours.form_token(second)


def test_a_session_and_a_log_in_under_way_are_never_taken_for_each_other() -> None:
    ours = Sessions("ops", None, Clock(), ("https://id.example", "console"))
    session, kept = ours.open_person(OPERATOR), ours.seal_login("kept")
    assert (ours.unseal_login(kept, 60), ours.unseal_login(session, 60), ours.read(kept)) == ("kept", None, None)
    assert isinstance(ours.read(session), Session)
    for other in (None, ("https://other.example", "console"), ("https://id.example", "another")):
        assert Sessions("ops", None, Clock(), other).read(session) is None


@given(st.text())
def test_a_return_path_never_leads_to_another_site(path: str) -> None:
    safe = safe_return_path(path)
    assert safe.startswith("/")
    assert not safe.startswith(("//", "/\\"))
    assert safe.isprintable()


@given(st.text())
def test_a_name_is_one_line_of_bounded_length(name: str) -> None:
    cleaned = cleaned_name(name)
    assert cleaned.isprintable()
    assert len(cleaned) <= 60
