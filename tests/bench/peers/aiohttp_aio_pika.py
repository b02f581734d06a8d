"""A peer as it is written in an afternoon: aiohttp takes the callback in, aio-pika keeps it, a worker tells the application.

python aiohttp_aio_pika.py ingress|worker      # AMQP_URL, PORT, SECRET, APPLICATION_URL of the environment

The same durability: a quorum queue, persistent messages, confirms before the 200, acks after the application's 2xx. No
ledger, no order, no retries, no guard.
"""

import asyncio
import hashlib
import hmac
import os
import signal
import sys

import aio_pika
import aiohttp
import uvloop
from aiohttp import web

QUEUE = "peer.events"
PREFETCH = 100
SECRET = os.environ["SECRET"].encode()


async def declare(channel: aio_pika.abc.AbstractChannel) -> aio_pika.abc.AbstractQueue:
    return await channel.declare_queue(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})


async def serve(stop: asyncio.Event) -> None:
    connection = await aio_pika.connect(os.environ["AMQP_URL"])
    channel = await connection.channel(publisher_confirms=True)
    await declare(channel)

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        wanted = hmac.new(SECRET, body, hashlib.sha256).hexdigest()
        if not hmac.compare_digest(wanted, request.headers.get("X-Phaxio-Signature", "")):
            return web.json_response({"error": "signature"}, status=401)
        message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
        await channel.default_exchange.publish(message, QUEUE)
        return web.json_response({"status": "accepted"})

    async def ready(_request: web.Request) -> web.Response:
        return web.Response()

    app = web.Application()
    app.add_routes([web.post("/phaxio-callback", take), web.get("/readyz", ready)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", int(os.environ["PORT"])).start()
    await stop.wait()
    await runner.cleanup()
    await connection.close()


async def work(stop: asyncio.Event) -> None:
    connection = await aio_pika.connect(os.environ["AMQP_URL"])
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=PREFETCH)
    queue = await declare(channel)
    async with aiohttp.ClientSession() as session:

        async def tell(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            async with message.process(requeue=True):
                headers = {"Content-Type": "application/json"}
                async with session.post(os.environ["APPLICATION_URL"], data=message.body, headers=headers) as answer:
                    answer.raise_for_status()

        await queue.consume(tell)
        await stop.wait()
    await connection.close()


async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await (serve(stop) if sys.argv[1] == "ingress" else work(stop))


if __name__ == "__main__":
    uvloop.run(main())
