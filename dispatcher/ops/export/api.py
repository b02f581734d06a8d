"""`/v1/exports/…`: every row of a list that a filter matches, as a file, over HTTP."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from aiohttp import ClientConnectionResetError, web

from dispatcher.ledger.pool import Pool
from dispatcher.ops.api.audit import write_audit
from dispatcher.ops.api.http import WHO, read_query
from dispatcher.ops.api.operation import Handler, Operation
from dispatcher.ops.export import rows
from dispatcher.ops.export.lists import ExportedList
from shared.domain import utc_now
from shared.log import get_logger


class ExportApi:
    """The handlers."""

    def __init__(self, pool: Pool, lists: Mapping[str, ExportedList]) -> None:
        self._pool = pool
        self._lists = lists

    def operations(self) -> Sequence[Operation]:
        """Return an operation for each list."""
        return [
            Operation(
                "GET",
                f"/v1/exports/{each.name}",
                self._handler(each),
                f"Every row of `{each.name}` that matches, as a file: its last line says that it is whole",
                query=each.asked,
                media_type=", ".join(rows.CONTENT_TYPES.values()),
                problems=(409,) if each.name == "dead-letters" else (),
            )
            for each in self._lists.values()
        ]

    def _handler(self, exported: ExportedList) -> Handler:
        async def export(request: web.Request) -> web.StreamResponse:
            return await send_export(self._pool, exported, read_query(request, exported.asked), request, request[WHO])

        return export


async def send_export(
    pool: Pool, exported: ExportedList, asked: Any, request: web.Request, who: str
) -> web.StreamResponse:
    """Answer *asked* with a file, a page of the list in memory at a time; the audit says who took it.

    What fails before the first row is raised. Later the connection is cut, so that the client sees that the file is not
    whole; so does its missing last line.
    """
    pages = exported.pages(asked)
    first = await anext(pages)
    await write_audit(pool, who, "list.exported", exported.name, _filters_of(asked))
    response = _response(exported.name, asked.format, utc_now())
    await response.prepare(request)
    try:
        await response.write(rows.head(asked.format, exported.item) + rows.rows(asked.format, first))
        count = len(first)
        async for items in pages:
            await response.write(rows.rows(asked.format, items))
            count += len(items)
        await response.write(rows.end(asked.format, count))
    except ClientConnectionResetError:  # the client went away
        return response
    except Exception as error:  # noqa: BLE001 - the headers are sent: no other answer can be given
        get_logger().warning("export.cut_off", route=f"/v1/exports/{exported.name}", reason=type(error).__name__)
        if request.transport is not None:
            request.transport.abort()
    return response


def _response(name: str, file_format: rows.Format, now: datetime) -> web.StreamResponse:
    headers = {
        "Content-Type": f"{rows.CONTENT_TYPES[file_format]}; charset=utf-8",
        "Content-Disposition": f'attachment; filename="{name}-{now:%Y-%m-%dT%H%M%SZ}.{file_format}"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    response = web.StreamResponse(headers=headers)
    response.enable_chunked_encoding()
    return response


def _filters_of(asked: msgspec.Struct) -> dict[str, Any]:
    given = msgspec.to_builtins(asked)
    return {name: value for name, value in given.items() if value is not None}
