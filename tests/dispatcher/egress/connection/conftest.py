"""The loops that a test runs on."""

import asyncio
from collections.abc import Callable

import pytest
import uvloop
from raw_hosts import Test


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def on_loop(request: pytest.FixtureRequest) -> Callable[[Test], None]:
    """Run a test on the loop of the standard library, and on the one that the services use."""

    def run(test: Test) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(test(), 30))

    return run
