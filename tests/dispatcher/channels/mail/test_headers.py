"""Every subject and every name reads as it was written, by a decoder that shares nothing with what wrote it."""

import re
from base64 import b64decode
from email import message_from_string, policy
from email.header import decode_header, make_header

import pytest
from dispatchers import an_event
from hypothesis import example, given
from hypothesis import strategies as st
from mails import an_attempt

from dispatcher.channels.mail.address import Mailbox
from dispatcher.channels.mail.content import tell
from dispatcher.channels.mail.headers import mailbox_header, text_header
from dispatcher.channels.mail.phrases import plain
from dispatcher.channels.mail.render import render
from shared.domain import EventType, Failure

REPORTED = (
    "line busy inconnu document d\u2019abonnement numéro Übertragung réseau indisponible line Genève l\u2019autre"
)
JAPANESE = "病院紹介患者連携室ファクス受信センター総合窓口担当者一同様" * 3
EMOJI = "\N{WOMAN}\N{VARIATION SELECTOR-16}\N{EMOJI MODIFIER FITZPATRICK TYPE-5}" * 40

words = st.sampled_from([
    *REPORTED.split(),
    *("病院紹介患者連携室", "ファクス", "отправка", "не", "удалась", "אין", "תשובה", "😀", "e\N{COMBINING ACUTE ACCENT}"),
    *("=?utf-8?q?x?=", "=?", "?=", "=20", "_", "a_b", "a,b;", "(c)", '"d"', "\\", "<e@example.com>", ":", "x" * 80),
])  # fmt: skip
mixed = st.lists(words, max_size=24).map(" ".join)
anything = st.text(st.characters(exclude_categories=("Cc", "Cf", "Cs", "Zl", "Zp")), max_size=200)
blanks = st.lists(st.one_of(words, st.sampled_from(["", "\u3000", "\u00a0"])), max_size=12).map(" ".join)

# ---- Decoder of RFC 2047 and RFC 5322, which insists on their limits --------------------------------------------------

ENCODED_WORD = re.compile(r"=\?([^?\s]+)\?([bBqQ])\?([^?\s]*)\?=")


def decoded_word(match: re.Match[str]) -> str:
    charset, encoding, text = match.groups()
    assert len(match[0]) <= 75
    if encoding in "bB":
        return b64decode(text, validate=True).decode(charset)  # whole characters only, or this raises
    assert re.fullmatch(r"[A-Za-z0-9!*+/=_-]*", text), "these only may stand in the encoded word of a name"
    octets = re.sub("=([0-9A-F]{2})", lambda escape: chr(int(escape[1], 16)), text.replace("_", " "))
    return octets.encode("latin-1").decode(charset)


def decoded(text: str) -> str:
    adjacent = re.compile(rf"(?<=\?=)[ \t]+(?={ENCODED_WORD.pattern})")
    return ENCODED_WORD.sub(decoded_word, adjacent.sub("", text))


def unfolded(header: str, name: str) -> str:
    assert header.isascii()
    assert header.endswith("\r\n")
    lines = header[:-2].split("\r\n")
    for line in lines:
        assert line.isprintable()
        assert len(line) <= (76 if "=?" in line else 998)
        assert line.strip() not in {"", f"{name}:"} or len(lines) == 1, "a line without text"
    assert all(line.startswith(" ") for line in lines[1:])
    assert lines[0].startswith(f"{name}: ")
    return "".join(lines).removeprefix(f"{name}: ")


def read_text(header: str, name: str = "Subject") -> str:
    return decoded(unfolded(header, name))


def read_mailbox(header: str) -> tuple[str, str]:
    """Return name and address of a From."""
    value = unfolded(header, "From")
    if not value.endswith(">"):
        return "", value
    phrase, _, address = value[:-1].rpartition(" <")
    if phrase.startswith('"'):
        assert re.fullmatch(r'"(?:[^"\\]|\\["\\])*"', phrase)
        return re.sub(r"\\(.)", r"\1", phrase[1:-1]), address
    assert not re.search(r'[()<>@,;:\\".\[\]]', ENCODED_WORD.sub("", phrase)), "needs quotes"
    return decoded(phrase), address


@pytest.mark.parametrize(
    ("encoded", "text"),
    [
        ("=?ISO-8859-1?Q?a?=", "a"),
        ("=?ISO-8859-1?Q?a?= b", "a b"),
        ("=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"),
        ("=?ISO-8859-1?Q?a?=   =?ISO-8859-1?Q?b?=", "ab"),
        ("=?ISO-8859-1?Q?a_b?=", "a b"),
        ("=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?_b?=", "a b"),
        ("=?UTF-8?B?w7w=?= =?utf-8?q?=C3=BC?=", "üü"),
    ],
)
def test_the_decoder_reads_the_examples_of_rfc_2047(encoded: str, text: str) -> None:
    assert decoded(encoded) == text


# ---- Texts -----------------------------------------------------------------------------------------------------------


@given(st.one_of(mixed, blanks, anything))
@example(REPORTED)
@example(JAPANESE)
@example(EMOJI)
@example("")
@example("=?utf-8?q?=0D=0ABcc:_all@example.com?=")
@example(" two  blanks ")
@example("x" * 2_000)
@example("re-" * 60)
@example(f"{'x' * 75} y")
def test_every_text_reads_as_it_was_written(text: str) -> None:
    assert read_text(text_header("Subject", text)) == text
    assert read_text(text_header("X-Faxhook-Event-Id", text), "X-Faxhook-Event-Id") == text


@given(mixed)
@example(REPORTED)
def test_both_decoders_of_the_standard_library_agree(text: str) -> None:
    mail = text_header("Subject", text) + "\r\n"
    assert message_from_string(mail, policy=policy.default)["Subject"] == text
    raw = message_from_string(mail)["Subject"].replace("\r\n", "")
    assert str(make_header(decode_header(raw))) == text


@pytest.mark.parametrize("text", ["Fax sent to +1 555 987 0000 (2 pages)", "phaxio:1-fax.delivered", "a" * 300])
def test_plain_text_stays_searchable(text: str) -> None:
    assert text_header("Subject", text) == f"Subject: {text}\r\n"


@pytest.mark.parametrize("said", [REPORTED, JAPANESE, EMOJI, "Ungültig =?utf-8?q?x?= =?", f"{'Straße ' * 20}"])
def test_the_subject_of_a_mail_is_that_of_its_story(said: str) -> None:
    attempt = an_attempt(event=an_event(1, EventType.FAILED, failure=Failure(message=said)))
    mail = render(attempt, Mailbox("fax@example.net", JAPANESE)).decode("ascii")
    headers = re.findall(
        r"^([\w-]+): ((?:.*\r\n)(?:[ \t].*\r\n)*)", mail.partition("\r\n\r\n")[0] + "\r\n", re.MULTILINE
    )
    lines = {name: f"{name}: {value}" for name, value in headers}
    assert read_text(lines["Subject"]) == tell(attempt, None).subject
    assert plain(said)[:150] in read_text(lines["Subject"])
    assert read_mailbox(lines["From"]) == (JAPANESE, "fax@example.net")


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("👨\u200d👩\u200d👧 busy", "👨\u200d👩\u200d👧 busy"),
        ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"),
        ("Über\u00adtragung", "Übertragung"),
        ("\ufeff\u200e+49 30\u200b 1", "+49 30 1"),
        ("gpj.\u202efdp", "gpj.fdp"),
        ("pay\u200dpal", "paypal"),
        ("\u200d👧\u200d", "👧"),
        ("\u05e9\u05dc\u05d5\u2028\u05e2\u05dd", "\u05e9\u05dc\u05d5 \u05e2\u05dd"),
    ],
    ids=ascii,
)
def test_what_is_invisible_splits_no_word_and_joiners_stay_where_they_join(said: str, shown: str) -> None:
    assert plain(said) == shown
    assert read_text(text_header("Subject", plain(said))) == shown


# ---- Names -----------------------------------------------------------------------------------------------------------


@given(st.one_of(mixed, blanks, anything), st.sampled_from(["fax@example.com", f"{'f' * 64}@{'example.' * 20}com"]))
@example("", "fax@example.com")
@example(JAPANESE, "fax@example.com")
@example("Faxes  of the desk", "fax@example.com")
@example("病院\u3000受信", "fax@example.com")
@example("St. Mary's Hospital, Referral Department, Fax Reception of the Second Floor, East Wing", "fax@example.com")
@example('a "quoted" \\ name', "fax@example.com")
@example('"' * 600, "fax@example.com")
@example("x" * 2_000, "fax@example.com")
@example("=?utf-8?q?x?=", "fax@example.com")
def test_every_name_reads_as_it_was_written(name: str, address: str) -> None:
    assert read_mailbox(mailbox_header("From", Mailbox(address, name))) == (name, address)


@given(mixed.filter(lambda text: len(text) <= 15 and text))
@example("Büro, Fax")
@example('a "quoted" \\ name')
def test_the_standard_library_reads_one_address_and_its_name(name: str) -> None:
    mail = mailbox_header("From", Mailbox("fax@example.com", name)) + "\r\n"
    (read,) = message_from_string(mail, policy=policy.default)["From"].addresses
    assert (read.display_name, read.addr_spec) == (name, "fax@example.com")
