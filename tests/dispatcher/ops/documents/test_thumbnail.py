"""A first page is drawn of what can be drawn, in bounded time and memory, and a hostile document harms nothing."""

import asyncio
from collections.abc import Callable
from functools import cache, partial
from io import BytesIO

import pytest
from PIL import Image, ImageDraw

from dispatcher.ops.documents import thumbnail
from dispatcher.ops.documents.thumbnail import NoThumbnail, Thumbnails
from dispatcher.ops.simulator.documents import sample_pdf

HUGE_PAGE = sample_pdf("huge").replace(b"[0 0 595 842]", b"[0 0 9e9 9e9]")


@cache
def many_pages() -> bytes:
    return sample_pdf("many", pages=2_000)


def picture(kind: str, size: tuple[int, int] = (1728, 2200), **options: object) -> bytes:
    image = Image.new("1" if kind == "TIFF" else "L", size, 255)
    ImageDraw.Draw(image).rectangle((size[0] // 9, size[1] // 9, size[0] // 2, size[1] // 2), fill=0)
    written = BytesIO()
    image.save(written, kind, **options)
    return written.getvalue()


@pytest.mark.parametrize(
    "made",
    [
        partial(sample_pdf, "a referral"),
        many_pages,
        partial(picture, "TIFF", compression="group4", dpi=(204, 196)),
        partial(picture, "TIFF", compression="group3", dpi=(204, 98), size=(1728, 1100)),
        partial(picture, "TIFF", compression="tiff_lzw"),
        partial(picture, "PNG"),
        partial(picture, "JPEG"),
        partial(picture, "TIFF", size=(3, 3), dpi=(0, 0)),
    ],
)
async def test_the_first_page_is_drawn(made: Callable[[], bytes]) -> None:
    content = made()
    with Image.open(BytesIO(await Thumbnails().of(content))) as page:
        assert (page.format, page.mode) == ("PNG", "L")
        assert 1 <= page.width <= 620
        assert 1 <= page.height <= 878
        if len(content) > 1_000 or content.startswith(b"%PDF"):
            assert page.getextrema()[0] < 128 < page.getextrema()[1], "there is something on it"


@pytest.mark.parametrize(
    "given",
    [
        b"",
        b"<svg/>",
        b"%PDF-1.7\n",
        b"%PDF-" + bytes(1_000_000),
        HUGE_PAGE[:200],
        b"II*\0" + b"\xff" * 5_000,
        lambda: picture("TIFF", compression="group4")[:300],
        partial(picture, "TIFF", size=(30_000, 30_000), compression="group4"),  # more than its memory
        partial(picture, "TIFF", size=(8_000, 8_000), compression="group4"),  # more dots than any page has
        b"\x89PNG\r\n\x1a\n" + b"\0" * 64,
    ],
)
async def test_what_cannot_be_drawn_is_a_sentence(given: bytes | Callable[[], bytes]) -> None:
    content = given() if callable(given) else given
    with pytest.raises(NoThumbnail) as refused:
        await Thumbnails().of(content)
    assert "download it" in str(refused.value)


async def test_a_page_of_any_size_is_drawn_small_or_refused() -> None:
    try:
        page = await Thumbnails().of(HUGE_PAGE)
    except NoThumbnail:
        return
    assert len(page) < 1_000_000


async def test_what_takes_too_long_is_ended_with_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    started = []
    start = asyncio.create_subprocess_exec

    async def kept(*arguments: object, **options: object) -> asyncio.subprocess.Process:
        started.append(await start(*arguments, **options))  # type: ignore[arg-type]
        return started[-1]

    monkeypatch.setattr(thumbnail.asyncio, "create_subprocess_exec", kept)
    monkeypatch.setattr(thumbnail, "SECONDS", 0.001)
    with pytest.raises(NoThumbnail, match="too long"):
        await Thumbnails().of(many_pages())
    assert started[0].returncode is not None


async def test_the_program_is_given_none_of_our_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Thumbnails({"PATH": "/usr/bin", "SECRETS_KEY": "secret", "DATABASE_URL": "postgresql://secret"})
    assert made._environment == {"PATH": "/usr/bin"}
    monkeypatch.setenv("OPS_TOKEN", "secret")
    assert "OPS_TOKEN" not in Thumbnails()._environment
