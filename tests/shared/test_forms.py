"""Forms are read to the byte; what cannot be read is refused with its reason."""

import doctest
import hashlib
import json
import time
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.errors import Malformed, Refused, UnsupportedMediaType
from shared.forms import MAX_FIELDS, MAX_FILES, Form, Part, media_type, multipart, read_form, reading, sniff_type

WIRE = Path(__file__).parents[1] / "samples" / "phaxio" / "wire"
BOUNDARY = "x-7f3a"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
URLENCODED = "application/x-www-form-urlencoded"


def part(head: str, content: bytes) -> bytes:
    return b"--%b\r\n%b\r\n\r\n%b\r\n" % (BOUNDARY.encode(), head.encode("latin-1"), content)


def body(*parts: bytes) -> bytes:
    return b"".join(parts) + b"--%b--\r\n" % BOUNDARY.encode()


def field(name: str, value: bytes = b"") -> bytes:
    return part(f'Content-Disposition: form-data; name="{name}"', value)


def file(name: str, content: bytes, filename: str = "f.pdf", more: str = "") -> bytes:
    return part(f'Content-Disposition: form-data; name="{name}"; filename="{filename}"{more}', content)


def test_the_examples_in_the_docstrings_hold():
    assert doctest.testmod(reading).failed == 0


@pytest.mark.parametrize("meta", sorted(WIRE.glob("*.json")), ids=lambda path: path.stem)
def test_each_wire_sample_is_read_to_its_fields_and_files(meta):
    said = json.loads(meta.read_text())
    content = meta.with_name(said["body_file"]).read_bytes()
    form = read_form(said["headers"]["Content-Type"], content)
    assert [list(pair) for pair in form.fields] == said["fields"]
    assert [(part.name, part.filename, len(part.content)) for part in form.files] == [
        (file["name"], file["filename"], file["size"]) for file in said["files"]
    ]
    assert read_form(sniff_type(content), content) == form, "without its Content-Type it is read the same"


@given(
    st.lists(st.tuples(st.from_regex(r"[a-z_\[\]]{1,12}", fullmatch=True), st.binary(max_size=60)), max_size=6),
    st.lists(st.tuples(st.from_regex(r"[a-z]{1,8}", fullmatch=True), st.binary(max_size=200)), max_size=3),
)
def test_multipart_keeps_order_repeated_names_and_every_byte(fields, files):
    assume(not any(b"--" + BOUNDARY.encode() in value for _, value in fields + files))
    form = read_form(MULTIPART, body(*(field(*pair) for pair in fields), *(file(*pair) for pair in files)))
    assert [(name, value.encode("utf-8", "surrogateescape")) for name, value in form.fields] == fields
    assert [(part.name, part.content) for part in form.files] == files


@given(st.lists(st.tuples(st.binary(min_size=1, max_size=9), st.binary(max_size=9)), max_size=6))
def test_urlencoded_keeps_order_repeated_names_and_every_byte_however_it_is_escaped(pairs):
    def escaped(octets):
        return b"".join(b"%%%02X" % octet for octet in octets)

    form = read_form(URLENCODED, b"&".join(escaped(name) + b"=" + escaped(value) for name, value in pairs))
    octets = [tuple(text.encode("utf-8", "surrogateescape") for text in pair) for pair in form.fields]
    assert octets == pairs


def test_urlencoded_reads_plus_as_a_blank_and_raw_bytes_as_they_are():
    form = read_form(URLENCODED + "; charset=iso-8859-1", b"a=1+2&b=&c&&a=Zo%C3%AB&a=Zo\xc3\xab&d=\xff%FF%zz")
    assert form.fields == (
        ("a", "1 2"),
        ("b", ""),
        ("c", ""),
        ("a", "Zoë"),
        ("a", "Zoë"),
        ("d", "\udcff\udcff%zz"),
    )


@pytest.mark.parametrize("filename", ["fax.pdf", ""])
def test_a_part_with_a_filename_is_a_file_an_empty_one_too(filename):
    form = read_form(MULTIPART, body(file("file", b"%PDF-", filename, "\r\nContent-Type: Application/PDF; name=x")))
    assert form.fields == ()
    assert form.files == (Part(name="file", filename=filename, content_type="application/pdf", content=b"%PDF-"),)


def test_a_part_without_a_filename_is_a_field_whatever_its_content_type():
    head = 'Content-Disposition: form-data; name="fax"\r\nContent-Type: application/json'
    assert read_form(MULTIPART, body(part(head, b"{}"))).fields == (("fax", "{}"),)


def test_names_and_filenames_that_are_no_utf8_do_not_cost_the_callback():
    for unusual in ("", "\r\nX-Unusual: 1"):  # the short way, and the library's
        head = 'Content-Disposition: form-data; name="caf\xe9"' + unusual
        form = read_form(MULTIPART, body(part(head, b"1"), file("fil\xc3\xa9", b"2", "\xe9.pdf")))
        assert form.fields[0][0].encode("utf-8", "surrogateescape") == b"caf\xe9"
        assert form.files[0].name == "filé"


@pytest.mark.parametrize("kind", ["text/html\nX-Evil: 1", "pdf", "a/b/c", "", "é/pdf"])
def test_a_content_type_that_cannot_be_read_is_not_passed_on(kind):
    form = read_form(MULTIPART, body(file("file", b"1", more=f"\r\nContent-Type: {kind}")))
    assert form.files[0].content_type == ""


@pytest.mark.parametrize(
    ("content", "exceeded"),
    [
        (body(*(field("a") for _ in range(MAX_FIELDS + 1))), "200 fields"),
        (body(*(file("a", b"") for _ in range(MAX_FILES + 1))), "8 files"),
        (body(part('Content-Disposition: form-data; name="a"\r\nX-A: ' + "b" * 8192, b"")), "8192 bytes a header"),
        (body(part('Content-Disposition: form-data; name="a"' + "\r\nX-A: b" * 8, b"")), "header count"),
    ],
)
def test_a_form_over_a_limit_is_refused_and_the_limit_named(content, exceeded):
    with pytest.raises(Malformed, match=exceeded):
        read_form(MULTIPART, content)


def test_a_form_at_its_limits_is_read():
    form = read_form(
        MULTIPART, body(*(field("a") for _ in range(MAX_FIELDS)), *(file("a", b"") for _ in range(MAX_FILES)))
    )
    assert (len(form.fields), len(form.files)) == (MAX_FIELDS, MAX_FILES)
    assert len(read_form(URLENCODED, b"&".join([b"a=1"] * MAX_FIELDS)).fields) == MAX_FIELDS
    with pytest.raises(Malformed, match="200 fields"):
        read_form(URLENCODED, b"&".join([b"a=1"] * (MAX_FIELDS + 1)))


@pytest.mark.parametrize("boundary", ["", '""', "b" * 71, '"' + "b" * 71 + '"', "é", '"b\x00"', '" "', '"b '])
def test_a_boundary_that_is_not_1_to_70_ascii_characters_is_refused(boundary):
    with pytest.raises(Malformed, match="boundary"):
        read_form("multipart/form-data; boundary=" + boundary, b"--b--\r\n")


@pytest.mark.parametrize("boundary", ["b" * 70, '"' + "b" * 70 + '"', "a/b=c?d", '"a b:c"', "'x'"])
def test_a_boundary_within_the_rule_is_taken_quoted_or_not(boundary):
    text = boundary.strip('"')
    content = f'--{text}\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--{text}--'.encode()
    for content_type in (
        f"multipart/form-data;boundary={boundary}",
        f"Multipart/Form-Data; BOUNDARY = {boundary}; x=y",
    ):
        assert read_form(content_type, content) == Form(fields=(("a", "1"),))


def test_a_form_that_breaks_off_at_any_byte_is_malformed():
    whole = body(field("a", b"1"), file("file", b"%PDF-")).removesuffix(b"\r\n")
    assert read_form(MULTIPART, whole).fields
    for length in range(len(whole)):
        with pytest.raises(Malformed):
            read_form(MULTIPART, whole[:length])


@pytest.mark.parametrize(
    "content_type", [None, "", "text/plain", "application/json", "multipart/mixed; boundary=b", "é"]
)
def test_what_is_no_form_is_unsupported(content_type):
    with pytest.raises(UnsupportedMediaType):
        read_form(content_type, b"a=1")


def test_the_media_type_is_lower_case_and_alone():
    assert [media_type(text) for text in (None, "", " Text/Plain ;charset=x", "a/b")] == ["", "", "text/plain", "a/b"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [(b' \r\n{"a":1}', "application/json"), (b"[]", "application/json"), (b"a=1", URLENCODED), (b"", URLENCODED)],
)
def test_a_body_without_a_type_is_told_by_its_first_bytes(content, kind):
    assert sniff_type(content) == kind


DISPOSITION = "Content-Disposition: form-data; name="
HEADS = [
    DISPOSITION + '"a"',
    DISPOSITION.lower() + '"a"',
    DISPOSITION + '"a";',
    DISPOSITION + '""',
    DISPOSITION + '"%22"',
    DISPOSITION + '"a"; filename=""',
    DISPOSITION + '"caf\xe9"; filename="\xc3\xa9"',
    DISPOSITION + '"a"\r\nContent-Type: A/B',
    DISPOSITION + '"f"; filename="f"\r\nContent-Type: A/B',
    DISPOSITION + '"f"; filename="f"\r\nContent-Type: a/b/c',
    DISPOSITION + '"f"; filename="C:\\x"',
    DISPOSITION + '"f"; filename="C:\\x"\r\nContent-Type: text/html; charset=x',
    DISPOSITION + '"' + "n" * 201 + '"',
    "Content-Disposition: x",
    "Content-Length: 1",
    "",
]
CONTENTS = st.sampled_from([b"", b"1", b"\r\n", b"--", b"\r\n--x", b"\r\n--x-7f3", b"\r\n--x-7f3a", b"--x-7f3a--"])
TAILS = st.sampled_from([b"--", b"--\r\n", b"--x-7f3a--", b"--x-7f3a--\r\n", b"--x-7f3a--epilogue", b"--x-7f3a", b""])


@given(
    st.sampled_from([b"", b"\r\n", b"preamble\r\n"]),
    st.lists(st.builds(part, st.sampled_from(HEADS), CONTENTS), max_size=4),
    TAILS,
)
def test_the_short_way_through_multipart_reads_what_the_library_reads(preamble, parts, tail):
    content = preamble + b"".join(parts) + tail
    plain = multipart._read_plain(BOUNDARY, content)
    if plain is not None:
        assert multipart._read_any(BOUNDARY, content) == plain


@pytest.mark.parametrize("head", HEADS)
def test_the_short_way_reads_each_head_as_the_library_does_or_leaves_it(head):
    content = body(part(head, b"1"))
    plain = multipart._read_plain(BOUNDARY, content)
    if plain is not None:
        assert multipart._read_any(BOUNDARY, content) == plain


def with_bare_line_feeds(parts: list[tuple[str, bytes]]) -> bytes:
    """Return the form as a script writes it that knows nothing of carriage returns."""
    lines = b"".join(
        b"--x-7f3a\n%b\n\n%b\n" % (head.encode("latin-1").replace(b"\r", b""), content) for head, content in parts
    )
    return lines + b"--x-7f3a--\n"


CONTENTS_OF_ANY_BYTES = (
    st.binary(max_size=20) | st.sampled_from([b"", b"\n", b"\r\n\r\n", b"a\n\nb", b"a--x-7f3a", b"\r"])
).filter(lambda content: b"\n--x-7f3a" not in b"\n" + content)  # which no sender lets a content hold


@given(
    st.lists(
        st.tuples(st.sampled_from([head for head in HEADS if "name=" in head]), CONTENTS_OF_ANY_BYTES),
        min_size=1,
        max_size=4,
    ),
    st.sampled_from([b"", b"\n", b"\r\n"]),
)
def test_a_form_whose_lines_end_with_bare_line_feeds_is_read_like_any_other(parts, preamble):
    with_both = b"".join(part(head, content) for head, content in parts) + b"--x-7f3a--\r\n"
    for content_type in (MULTIPART, sniff_type(with_bare_line_feeds(parts))):
        assert read_form(content_type, preamble + with_bare_line_feeds(parts)) == read_form(MULTIPART, with_both)


@pytest.mark.parametrize(
    "broken",
    [
        b"--x-7f3a\n",
        b"--x-7f3a\n--x-7f3a--\n",
        b"--x-7f3a\n\n1\n--x-7f3a--\n",
        b'--x-7f3a\nContent-Disposition: form-data; name="a"\n1\n--x-7f3a--\n',
        b'--x-7f3a\nContent-Disposition: form-data; name="a"\n\n1\n--x-7f3ab\n',
        b'--x-7f3a\nContent-Disposition: form-data; name="a"\n\n1--x-7f3a--\n',
        b'--x-7f3a\nContent-Disposition: form-data; name="a"\n\n1\n' * (MAX_FIELDS + MAX_FILES + 1) + b"--x-7f3a--\n",
    ],
    ids=["no end", "no part", "no head", "no blank line", "another boundary", "no line end", "too many"],
)
def test_what_is_broken_with_bare_line_feeds_is_malformed(broken):
    with pytest.raises(Malformed):
        read_form(MULTIPART, broken)


@pytest.mark.parametrize("meta", sorted(WIRE.glob("*.json")), ids=lambda path: path.stem)
def test_the_short_way_is_the_way_of_what_providers_send(meta):
    content = meta.with_suffix(".body.bin").read_bytes()
    assert multipart._read_plain(content.partition(b"\r\n")[0][2:].decode(), content) is not None


@given(
    st.sampled_from([MULTIPART, URLENCODED, "multipart/form-data; boundary=-", None, "x/y"]) | st.text(),
    st.binary()
    | st.lists(
        st.sampled_from(
            [b"--" + BOUNDARY.encode(), b"--", b"\r\n", b"\n", b"Content-Disposition: form-data", b";", b'"']
        )
        | st.sampled_from(
            [b" name=", b" filename=", b"a", b"Content-Length: 3", b"\xff", b"%", b"&", b"=", b":", b"\t"]
        )
    ).map(b"".join),
)
def test_nothing_but_a_form_or_a_refusal_comes_out_of_any_bytes(content_type, content):
    try:
        form = read_form(content_type, content)
    except Refused:
        return
    assert isinstance(form, Form)
    assert len(form.fields) <= MAX_FIELDS


@given(st.text(st.sampled_from("%=+&09aFgZ\r\n _\\\x00é\udce9"), max_size=30) | st.text(max_size=30))
def test_percent_encoding_is_undone_as_the_standard_library_does(text):
    body = b"name=" + text.replace("&", "").encode("utf-8", "surrogatepass")
    ((_, value),) = read_form("application/x-www-form-urlencoded", body).fields
    decoded = body[5:].decode("utf-8", "surrogateescape")
    assert value == unquote_plus(decoded, "utf-8", "surrogateescape")


@pytest.mark.parametrize("piece", ["%", "%4", "%41", "%%41", "+", "%\n", "=", "=\n"])
def test_four_megabytes_made_to_be_slow_cost_no_more_than_a_few_digests_over_them(piece):
    body = b"name=" + piece.encode() * (4_000_000 // len(piece))

    def digests():
        for _ in range(8):
            hashlib.sha1(body, usedforsecurity=False).hexdigest()

    def read():
        with suppress(Malformed):
            read_form("application/x-www-form-urlencoded", body)

    assert least_seconds(read) < 4 * least_seconds(digests)


def least_seconds(work):
    """Return what *work* costs when nothing else has the caches, or the pages it is the first to touch: at best."""
    took = []
    for _ in range(5):
        started = time.process_time()
        work()
        took.append(time.process_time() - started)
    return min(took)
