"""Fixtures: real stores, fresh for every test."""

import itertools
import os
from collections.abc import AsyncIterator, Iterator

import pytest
import structlog
from hypothesis import settings
from receiver import Receiver, receiving
from stores import Stores, clone, drop, fresh_topology, migrated_template, stores, stores_up

from shared.backoff import DEFAULT_BACKOFF, parse_backoff
from shared.broker import topology
from shared.log import refuse_unlisted

# `make fuzz`: chosen by --hypothesis-profile=long; tests that name a number of their own take the larger one.
settings.register_profile("long", max_examples=10_000, deadline=None)

# Tests say how wide their terminal is; the one from which we are started is none of theirs.
os.environ.pop("COLUMNS", None)
os.environ.pop("LINES", None)

_numbers = itertools.count(1)


WORKERS = 3
"""Tests wait more than they compute: one more at once than the cores of a small machine."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return how many work with `-n auto`: each has a vhost of its own, but for stores that are given."""
    return 0 if os.environ.get("AMQP_URL") else WORKERS


def pytest_sessionstart(session: pytest.Session) -> None:
    """Start the stores once for all workers, none of which could know when the others need them no more."""
    if session.config.getoption("numprocesses", None) and not hasattr(session.config, "workerinput"):
        session.config.add_cleanup(stores_up())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs services, so that `-m "not services"` runs the rest in seconds."""
    for item in items:
        if "service_stores" in getattr(item, "fixturenames", ()):
            item.add_marker("services")


@pytest.fixture(autouse=True, scope="session")
def _unlisted_log_events_raise() -> None:
    structlog.configure(processors=[refuse_unlisted, structlog.processors.JSONRenderer(default=repr)])


@pytest.fixture(scope="session")
def service_stores() -> Iterator[Stores]:
    with stores() as found:
        yield found


@pytest.fixture(scope="session")
def database_template(service_stores: Stores) -> Iterator[str]:
    with migrated_template(service_stores.database_url) as name:
        yield name


@pytest.fixture
async def database_url(service_stores: Stores, database_template: str) -> AsyncIterator[str]:
    """A migrated, empty ledger of this test's own."""
    name = f"faxhook_test_{os.getpid()}_{next(_numbers)}"
    yield await clone(service_stores.database_url, database_template, name)
    await drop(service_stores.database_url, name)


@pytest.fixture
def backoff() -> str:
    """The table of waits that the topology is declared for; a test may override it."""
    return DEFAULT_BACKOFF


@pytest.fixture
async def amqp_url(service_stores: Stores, backoff: str) -> str:
    """A broker with the whole topology and empty queues."""
    await fresh_topology(service_stores.amqp_url, topology(parse_backoff(backoff)))
    return service_stores.amqp_url


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running
