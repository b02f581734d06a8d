"""The page of formats is what really renders: run `make docs` when this fails."""

import pytest

from dispatcher.formats import FORMATS
from dispatcher.ops.listener.readers import WebhookSummary
from dispatcher.ops.simulator.samples import SAMPLES
from docs.generate import formats as document_formats
from docs.generate.formats import BEGIN, END, PAGE, page_with_table, table


def test_the_page_s_table_is_that_of_the_code() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == page_with_table(text)


def test_a_stale_table_is_written_anew_and_what_stands_around_it_stays() -> None:
    text = page_with_table(f"before\n{BEGIN}\nstale\n{END}\nafter\n")
    assert text == f"before\n{BEGIN}\n{table()}\n{END}\nafter\n"
    assert page_with_table("no place for it") == "no place for it"


def test_it_has_a_row_for_every_sample_and_a_column_for_every_format_and_for_mail() -> None:
    head, _, *rows = table().splitlines()
    assert head.split(" | ")[3:] == [*FORMATS, "e-mail |"]
    assert len(rows) == sum(len(samples) for samples in SAMPLES.values())


def test_a_cell_that_its_reader_refuses_ends_the_writing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(document_formats.READERS, "sinch-v3", lambda *_: WebhookSummary(what="", refused="not signed"))
    with pytest.raises(RuntimeError, match="sinch-v3: not signed"):
        table()
