"""Fixtures: real stores, empty for every test; and the order in which the files are run."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial

import pytest
import structlog
from broker_users import users_of
from databases import Databases
from hypothesis import settings
from listed_events import refuse_unlisted
from ports import free_ports
from receiver import Receiver, receiving
from stores import Stores, fresh_topology, migrated_template, stores, stores_up

from shared.backoff import DEFAULT_BACKOFF, parse_backoff
from shared.broker import topology

# `make fuzz` chooses it by --hypothesis-profile=long; a test that names a number of examples takes the larger one.
settings.register_profile("long", max_examples=10_000, deadline=None)

# Tests set the width of their terminal; that of the terminal which runs pytest must not count.
os.environ.pop("COLUMNS", None)
os.environ.pop("LINES", None)

# A shell starts what it runs in the background without Ctrl-C; the programs that tests start are to hear it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Compiled once and kept, even if our environment forbids it: else each of three workers, and each program that a test
# starts, compiles hundreds of modules.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

WORKERS = 4
"""Tests wait more than they compute: two workers more than the cores of a small machine."""

LONGEST_FIRST = (
    "tests/end_to_end/test_images.py",
    "tests/docs/test_blocks.py",
    "tests/faults/",
    "tests/dispatcher/consumers/test_recovery.py",
    "tests/dispatcher/lists/reconciler/test_interrupted.py",
    "tests/end_to_end/",
    "tests/deploy/",
    "tests/dispatcher/ops/console/",
    "tests/dispatcher/ops/dead/",
    "tests/dispatcher/lists/reconciler/",
    "tests/dispatcher/maintenance/test_catch_up.py",
    "tests/dispatcher/test_watches.py",
    "tests/fuzz/",
)
"""Files that take half a minute and more. They are started first, so that no worker is left alone with one at the end."""


def pytest_configure(config: pytest.Config) -> None:
    """Keep xdist from starting the files with the most tests first: those with the fewest take longest here."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return the number of workers for `-n auto`. Each needs a vhost of its own, which given stores do not have."""
    return 0 if os.environ.get("AMQP_URL") else WORKERS


def pytest_sessionstart(session: pytest.Session) -> None:
    """Start the stores once for all workers: a worker cannot know when the others no longer need them."""
    if session.config.getoption("numprocesses", None) and not hasattr(session.config, "workerinput"):
        session.config.add_cleanup(stores_up())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, and mark what needs services: `-m "not services"` runs the rest in seconds."""
    items.sort(key=_place_in_order)
    for item in items:
        if "service_stores" in getattr(item, "fixturenames", ()):
            item.add_marker("services")


def _place_in_order(item: pytest.Item) -> int:
    """Return the place of an item's file in `LONGEST_FIRST`; the others keep their order after them."""
    places = (place for place, start in enumerate(LONGEST_FIRST) if item.nodeid.startswith(start))
    return next(places, len(LONGEST_FIRST))


@pytest.fixture(autouse=True, scope="session")
def _unlisted_log_events_raise() -> None:
    structlog.configure(processors=[refuse_unlisted, structlog.processors.JSONRenderer(default=repr)])


@pytest.fixture(scope="session")
def unused_tcp_port_factory() -> Callable[[], int]:
    """Give a port that stays free until the test opens it: pytest-asyncio's may become a client's meanwhile."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return partial(next, free_ports(worker))


@pytest.fixture
def unused_tcp_port(unused_tcp_port_factory: Callable[[], int]) -> int:
    return unused_tcp_port_factory()


@pytest.fixture(scope="session")
def service_stores() -> Iterator[Stores]:
    with stores() as found:
        yield found


@pytest.fixture(scope="session")
def database_template(service_stores: Stores) -> Iterator[str]:
    with migrated_template(service_stores.database_url) as name:
        yield name


@pytest.fixture(scope="session")
def databases(service_stores: Stores, database_template: str) -> Iterator[Databases]:
    """The ledgers of this worker."""
    made = Databases(service_stores.database_url, database_template, f"faxhook_test_{os.getpid()}")
    yield made
    asyncio.run(made.close())


@pytest.fixture
async def database_url(databases: Databases) -> AsyncIterator[str]:
    """A migrated, empty ledger for this test alone."""
    url = await databases.take()
    yield url
    await databases.give_back(url)


@pytest.fixture
def backoff() -> str:
    """The table of waits that the topology is declared for; a test may override it."""
    return DEFAULT_BACKOFF


@pytest.fixture
async def amqp_url(service_stores: Stores, backoff: str) -> str:
    """A broker with the whole topology and empty queues."""
    await fresh_topology(service_stores.amqp_url, topology(parse_backoff(backoff)))
    return service_stores.amqp_url


@pytest.fixture(scope="session")
def broker_users(service_stores: Stores) -> Iterator[dict[str, str]]:
    """The broker's URL of each user of `RIGHTS`, with those rights and no more."""
    with users_of(service_stores.amqp_url, service_stores.api_url) as urls:
        yield urls


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running
