"""An export holds every row that matches, a page in memory at a time; one that is cut off is seen to be."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from apis import Api, faxhook
from dispatchers import DispatcherHarness, an_event

from dispatcher.ops.export import lists, rows
from shared.domain import EventType

FAXES = 7


async def taken(harness: DispatcherHarness) -> None:
    for number in range(FAXES):
        kind = EventType.FAILED if number % 2 else EventType.DELIVERED
        await harness.take(an_event(number, kind, fax_id=f"fax-{number}", from_number="=1+1", job_id='a,"b"\n'))


async def test_every_row_is_in_the_file_however_few_fit_in_memory(
    api: Api, harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "ROWS_AT_ONCE", 2)
    written: list[int] = []
    write = rows.rows

    def counting(file_format: rows.Format, items: Sequence[Any]) -> bytes:
        written.append(len(items))
        return write(file_format, items)

    monkeypatch.setattr(rows, "rows", counting)
    await taken(harness)
    status, text, is_whole = await api.read("/v1/exports/faxes")
    *found, end = map(msgspec.json.decode, text.splitlines())
    assert (status, is_whole, end) == (200, True, {"object": "end", "rows": FAXES})
    assert sorted(each["fax_id"] for each in found) == [f"fax-{number}" for number in range(FAXES)]
    assert max(written) == 2, "bounded memory"
    _, text, _ = await api.read("/v1/exports/faxes?format=csv&state=fax.failed")
    names, *found, end = csv.reader(io.StringIO(text, newline=""))
    assert (end, len(found)) == (["#end", "3"], 3)
    first = dict(zip(names, found[0], strict=True))
    assert (first["from_number"], first["job_id"]) == ("'=1+1", 'a,"b"\n'), "a spreadsheet runs nothing of it"
    audited = await harness.pool.fetch("SELECT who, subject FROM audit WHERE what = 'list.exported'")
    assert [tuple(each) for each in audited] == [("operator", "faxes")] * 2


async def test_an_export_that_is_cut_off_is_neither_complete_nor_has_it_a_last_line(
    api: Api, harness: DispatcherHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "ROWS_AT_ONCE", 2)
    write = rows.rows

    def failing(file_format: rows.Format, items: Sequence[Any]) -> bytes:
        failing.calls += 1  # type: ignore[attr-defined]
        if failing.calls == 3:  # type: ignore[attr-defined]
            raise ConnectionRefusedError("the ledger is away")
        return write(file_format, items)

    failing.calls = 0  # type: ignore[attr-defined]
    monkeypatch.setattr(rows, "rows", failing)
    await taken(harness)
    status, text, is_whole = await api.read("/v1/exports/faxes")
    assert (status, is_whole, '"end"' in text) == (200, False, False)
    assert len(text.splitlines()) <= 4


async def test_every_list_has_its_export_and_refuses_what_it_does_not_know(
    api: Api, harness: DispatcherHarness
) -> None:
    await taken(harness)
    await harness.endpoint()
    for name in ("faxes", "events", "deliveries", "attempts", "dead-letters", "endpoints", "accounts", "audit"):
        for file_format in rows.CONTENT_TYPES:
            status, text, is_whole = await api.read(f"/v1/exports/{name}?format={file_format}")
            assert (status, is_whole) == (200, True), text
            assert "end" in text.splitlines()[-1]
            if file_format == "csv":
                names, *found, _ = csv.reader(io.StringIO(text, newline=""))
                assert {len(each) for each in found} <= {len(names)}, "a cell for each column"
        for query in ("format=xls", "limit=1", "after=x", "stat=1", "format=csv&format=csv"):
            status, text, _ = await api.read(f"/v1/exports/{name}?{query}")
            assert (status, msgspec.json.decode(text)["code"]) == (422, "bad_query"), (name, query, text)
    assert (await api.read("/v1/exports/secrets"))[0] == 404
    assert (await api.read("/v1/exports/faxes", {"Authorization": "Bearer wrong"}))[0] == 401


async def test_the_command_writes_the_same(harness: DispatcherHarness) -> None:
    await taken(harness)
    code, said, _ = await faxhook(harness.environment, "export", "faxes", "state=fax.failed", "--csv")
    assert (code, said.splitlines()[-1]) == (0, "#end,3")
    code, said, _ = await faxhook(harness.environment, "export", "endpoints")
    assert (code, said.splitlines()[-1]) == (0, '{"object":"end","rows":0}')
    for arguments, sentence in (
        (["letters"], "LIST: `letters` is unknown; known are faxes"),
        (["faxes", "state=failed"], "state: `failed` is unknown"),
        (["faxes", "stat=1"], "stat: is unknown; known are"),
        (["faxes", "state"], "write NAME=VALUE"),
        (["faxes", "state=fax.failed", "state=fax.failed"], "state: was given twice"),
    ):
        code, said, complained = await faxhook(harness.environment, "export", *arguments)
        assert (code, said, sentence in complained) == (65, "", True), complained
