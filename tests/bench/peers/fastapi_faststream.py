"""A peer as it is written in an afternoon: FastAPI takes the callback in, FastStream keeps it and tells the application.

python fastapi_faststream.py ingress|worker      # AMQP_URL, PORT, SECRET, APPLICATION_URL of the environment

The same durability: a quorum queue, persistent messages, confirms before the 200, acks after the application's 2xx. No
ledger, no order, no retries, no guard.
"""

import hashlib
import hmac
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import uvicorn
import uvloop
from fastapi import FastAPI, HTTPException, Request
from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitMessage, RabbitQueue

PREFETCH = 100
SECRET = os.environ["SECRET"].encode()
QUEUE = RabbitQueue("peer.events", durable=True, queue_type=QueueType.QUORUM)


def serve() -> None:
    broker = RabbitBroker(os.environ["AMQP_URL"], log_level=logging.WARNING)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await broker.start()
        await broker.declare_queue(QUEUE)
        yield
        await broker.stop()

    app = FastAPI(lifespan=lifespan)

    @app.post("/phaxio-callback")
    async def take(request: Request) -> dict[str, str]:
        body = await request.body()
        wanted = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(wanted, request.headers.get("X-Phaxio-Signature", "")):
            raise HTTPException(401)
        await broker.publish(body, queue=QUEUE, persist=True)
        return {"status": "accepted"}

    @app.get("/readyz")
    async def ready() -> None:
        return None

    uvicorn.run(app, host="127.0.0.1", port=int(os.environ["PORT"]), loop="uvloop", http="httptools", access_log=False)


async def work() -> None:
    broker = RabbitBroker(
        os.environ["AMQP_URL"], default_channel=Channel(prefetch_count=PREFETCH), log_level=logging.WARNING
    )
    async with aiohttp.ClientSession() as session:

        @broker.subscriber(QUEUE, ack_policy=AckPolicy.NACK_ON_ERROR)
        async def tell(message: RabbitMessage) -> None:
            headers = {"Content-Type": "application/json"}
            async with session.post(os.environ["APPLICATION_URL"], data=message.body, headers=headers) as answer:
                answer.raise_for_status()

        await FastStream(broker).run(log_level=logging.WARNING)


if __name__ == "__main__":
    if sys.argv[1] == "ingress":
        serve()
    else:
        uvloop.run(work())
