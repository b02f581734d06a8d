"""`faxhook deliveries`: what was sent to an endpoint, and sent again when a person asks."""

from typing import Annotated

import typer
from rich.text import Text

from dispatcher.ledger.pool import open_command_pool
from dispatcher.ops.api.audit import CLI
from dispatcher.ops.api.lookups import NoSuch, read_id
from dispatcher.ops.deliveries.bodies import AttemptWithRequest
from dispatcher.ops.deliveries.text import request_lines
from dispatcher.ops.documents.settings import ContentSettings
from dispatcher.ops.faxes.bodies import DeliveryWithAttempts
from dispatcher.ops.faxes.reader import FaxReader
from dispatcher.ops.terminal import Json, console, print_json, run, settings_of
from dispatcher.ops.words import clock, printable
from shared.media import MediaStore

app = typer.Typer(no_args_is_help=True, help="Show what was sent to an endpoint, byte for byte; send it again.")


@app.command(name="show")
def show_delivery(
    delivery_id: Annotated[str, typer.Argument(metavar="ID", help="A delivery's id.")],
    attempt: Annotated[int | None, typer.Option(min=1, help="Show the request of this attempt as it was sent.")] = None,
    as_json: Json = False,
) -> None:
    """Show a delivery and its attempts, or with --attempt the request that was sent.

    The request is shown as it was sent, whatever its endpoint is set to now: URL, headers (signatures and passwords
    masked) and body. MEDIA_URL is needed for what carried a document.
    """
    if attempt is None:
        delivery = run(_delivery(delivery_id))
        if as_json:
            print_json(delivery)
        else:
            _print_delivery(delivery)
        return
    made = run(_attempt(delivery_id, attempt))
    if as_json:
        print_json(made)
    else:
        _print_request(made)


async def _delivery(text: str) -> DeliveryWithAttempts:
    pool = await open_command_pool(settings_of(ContentSettings).database_url.reveal(), size=1)
    try:
        delivery = await FaxReader(pool).delivery(read_id(text, "delivery"))
    finally:
        await pool.close()
    if delivery is None:
        raise NoSuch("delivery", text)
    return delivery


async def _attempt(text: str, number: int) -> AttemptWithRequest:
    from dispatcher.ops.deliveries.requests import RequestReader  # noqa: PLC0415 - slow to import, and only used here

    settings = settings_of(ContentSettings)
    media = None if settings.media_url is None else MediaStore(settings.media_url)
    pool = await open_command_pool(settings.database_url.reveal(), size=1)
    try:
        return await RequestReader(pool, media).of(read_id(text, "delivery"), number, who=CLI)
    finally:
        await pool.close()


def _print_delivery(delivery: DeliveryWithAttempts) -> None:
    console.print(Text(str(delivery.id), style="bold"))
    console.print(Text(printable(f"{delivery.event_id} to {delivery.endpoint_url or delivery.endpoint_id}")))
    console.print(Text(delivery.explanation), soft_wrap=True)
    for each in delivery.attempts:
        said = f"answered {each.http_status}" if each.http_status else each.error or each.outcome
        again = f", sent again by {printable(each.resent_by)}" if each.resent_by else ""
        at = f"{clock(each.started_at)}, {each.seconds:.3f} s"
        console.print(
            Text(f"  attempt {each.number} at {at}: {said}{again}", style="green" if each.outcome == "told" else "red"),
            soft_wrap=True,
        )
    if delivery.attempts:
        console.print(Text(f"--attempt {delivery.attempts[-1].number} shows the request that was sent", style="dim"))


def _print_request(made: AttemptWithRequest) -> None:
    if made.request is None:
        console.print(Text(f"the request is not shown: {made.why_no_request}"), soft_wrap=True)
        return
    for line in request_lines(made.request):
        console.print(Text(line), soft_wrap=True)
