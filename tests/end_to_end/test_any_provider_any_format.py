"""An application keeps working when its faxes move to another provider: its own software accepts the webhooks."""

import json

import callbacks
from django_receiver import TOKEN as DJANGO_TOKEN
from django_receiver import django_application
from processes import running
from running_stack import RunningStack
from waiting import until

from dispatcher.formats.tokens import new_token, public_key


async def test_an_application_of_phaxios_answers_200_to_what_began_as_a_telnyx_callback(
    running_stack: RunningStack,
) -> None:
    with django_application() as (url, heard):
        await running_stack.endpoint(url=url, tokens=(DJANGO_TOKEN,))
        async with (
            running("ingress", running_stack.ingress) as ingress,
            running("dispatcher", running_stack.dispatcher),
        ):
            outgoing = callbacks.telnyx("0f0e", "fax-of-telnyx", "fax.failed", failure_reason="user_busy")
            assert (await outgoing.send(running_stack.http, ingress.url))[0] == 200
            await until(lambda: running_stack.count_of("told"), "told in the ledger")
    assert len(heard) == 1
    assert (await running_stack.pool.fetchval("SELECT http_status FROM attempts")) == 200


async def test_the_telnyx_sdk_accepts_what_began_as_a_phaxio_callback(running_stack: RunningStack) -> None:
    token = new_token("telnyx-v2")
    await running_stack.endpoint(format="telnyx-v2", tokens=(token,))
    async with running("ingress", running_stack.ingress) as ingress, running("dispatcher", running_stack.dispatcher):
        assert (await callbacks.phaxio(77).send(running_stack.http, ingress.url))[0] == 200
        (webhook,) = await running_stack.receiver.got(1)
    import telnyx  # noqa: PLC0415 - it takes a second, and every worker collects every test

    client = telnyx.Telnyx(api_key="unused", public_key=public_key("telnyx-v2", token))
    event = client.webhooks.unwrap(webhook.body.decode(), headers={k.lower(): v for k, v in webhook.headers.items()})
    assert type(event).__name__ == "FaxDelivered"
    assert json.loads(webhook.body)["data"]["payload"]["fax_id"] == "77"
