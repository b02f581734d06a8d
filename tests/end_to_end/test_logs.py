"""Logs carry ids, types, codes and durations: no token, secret, signature, number, address, text or query of a URL."""

import dataclasses
import json

import callbacks
from processes import SECRETS, running
from waiting import until
from world import TOKEN, World

CALLER = "Zoë Secretname"
NUMBERS = ("+15551230000", "+15559870000", "+19459457421", "+13129457420")


async def test_a_full_run_of_good_bad_and_failing_callbacks_leaves_nothing_confidential_in_any_log_line(
    world: World,
) -> None:
    await world.endpoint(url=world.receiver.url.replace("http://", "http://user:url-password@"), inflight=True)
    world.receiver.answer = lambda received: 200 if received.attempt > 1 or "telnyx" in received.event_id else 500
    fields = {"caller_name": CALLER, "to_number": NUMBERS[1], "recipients": [{"phone_number": NUMBERS[1]}]}
    sent = [
        callbacks.phaxio(1, job_id="job-42", **fields),
        callbacks.phaxio_page(2, 1),
        callbacks.telnyx("e1", "f1", media_url="https://files.example.com/x.pdf?signature=media-signature"),
        callbacks.phaxio_json(json.dumps({"note": CALLER, "from": NUMBERS[0]}).encode()),
        dataclasses.replace(callbacks.phaxio(3, **fields), body=b"changed"),
    ]
    async with running("ingress", world.ingress) as ingress, running("dispatcher", world.dispatcher) as dispatcher:
        statuses = [(await each.send(world.http, ingress.url))[0] for each in sent]
        assert statuses == [200, 200, 200, 200, 400]
        await until(lambda: len(dispatcher.logged("attempt.made")) >= 3, "attempts were made")
    lines = "\n".join(json.dumps(line, ensure_ascii=False) for line in ingress.lines + dispatcher.lines)
    assert "attempt.made" in lines
    confidential = [
        *(
            value
            for name, value in SECRETS.items()
            if name not in {"PUBLIC_URL", "TELNYX_PUBLIC_KEY", "SINCH_INBOUND_BASIC_USER"}
        ),
        *NUMBERS,
        TOKEN,
        CALLER,
        "job-42",
        "url-password",
        "media-signature",
        "tag=a%2Bb",
        world.amqp_url,
        world.database_url,
        world.dispatcher["SECRETS_KEY"],
        *(each.headers["X-Phaxio-Signature"] for each in sent if "X-Phaxio-Signature" in each.headers),
    ]
    assert [each for each in confidential if each in lines] == []
