"""The provider of `lists.py`, a process of its own: pages of Phaxio's list, made beforehand.

    python tests/bench/list_server.py FAXES SINCE

It prints its port, then answers until it is ended.
"""

import asyncio
import gc
import json
import sys
import time
from bisect import bisect_left, bisect_right
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.extend(str((Path(__file__).parent / folder).resolve()) for folder in (".", "../support", "../.."))

from aiohttp import web
from list_rounds import PHASE_SECONDS, is_read_in
from provider_fax import ProviderFax

SPAN = timedelta(hours=40)
"""The faxes of the list were created within so long."""


def serve(faxes: int, since: datetime) -> None:
    """Be the provider: print the port, then answer pages of Phaxio's list until killed."""
    created = [since + number * (SPAN / faxes) for number in range(faxes)]
    listed = [
        json.dumps(ProviderFax("phaxio", str(number + 1), "fax.delivered", at, at).listed()).encode()
        for number, at in enumerate(created)
    ]

    async def answer(request: web.Request) -> web.Response:
        phase, into = divmod(time.time(), PHASE_SECONDS)
        if not is_read_in(int(phase)):
            await asyncio.sleep(PHASE_SECONDS - into)
        query = request.query
        first = bisect_left(created, datetime.fromisoformat(query["created_after"]))
        last = bisect_right(created, datetime.fromisoformat(query["created_before"]))
        number, size = int(query["page"]), int(query["per_page"])
        end = last - (number - 1) * size  # the newest first
        shown = listed[max(first, end - size) : end][::-1]
        paging = json.dumps({"total": last - first, "per_page": size, "page": number}).encode()
        body = b'{"success":true,"message":"","data":[' + b",".join(shown) + b'],"paging":' + paging + b"}"
        return web.Response(body=body, content_type="application/json")

    async def run() -> None:
        app = web.Application()
        app.router.add_get("/v2.1/faxes", answer)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        sys.stdout.write(f"{runner.addresses[0][1]}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()

    asyncio.run(run())


if __name__ == "__main__":
    gc.disable()  # a collection over all those pages would count as the provider's
    serve(int(sys.argv[1]), datetime.fromisoformat(sys.argv[2]).astimezone(UTC))
