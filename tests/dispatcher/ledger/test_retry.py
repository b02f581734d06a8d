"""Work that the ledger cannot do now is repeated; any other error is raised at once."""

import ssl
from collections.abc import Sequence

import asyncpg
import pytest

from dispatcher.ledger import retry as module
from dispatcher.ledger.health import CutOff
from dispatcher.ledger.pool import LedgerAway
from dispatcher.ledger.retry import LedgerRetry


class Failing:
    """Work that raises *errors* one after the other, and then is done."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)

    async def __call__(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "done"


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.0)


async def test_a_ledger_that_is_away_or_busy_is_asked_again() -> None:
    retry = LedgerRetry("batch.delayed")
    work = Failing(LedgerAway(), ConnectionResetError(), asyncpg.DeadlockDetectedError("deadlock"), OSError())
    assert await retry(work, 3) == "done"
    assert retry.tries == 5


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.PostgresIOError("could not read block 7 in file: Input/output error"),
        asyncpg.UndefinedFileError("could not open file"),
        asyncpg.IdleInTransactionSessionTimeoutError("terminating connection due to idle-in-transaction timeout"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_no_event_is_to_blame_for_the_ledgers_disk_nor_for_a_process_that_stood_still(error: Exception) -> None:
    assert await LedgerRetry("batch.delayed")(Failing(error, error, error, error), 1) == "done"


@pytest.mark.parametrize(
    "error",
    [ssl.SSLCertVerificationError(), asyncpg.exceptions.ClientConfigurationError("root certificate file is missing")],
)
async def test_certificate_trouble_is_the_ledgers_though_it_is_a_value_error(error: Exception) -> None:
    assert await LedgerRetry("batch.delayed")(Failing(error), 1) == "done"


@pytest.mark.parametrize("error", [asyncpg.DataError("too large"), ValueError("no number"), ZeroDivisionError()])
async def test_a_refused_value_and_a_fault_of_our_own_are_raised(error: Exception) -> None:
    with pytest.raises(type(error)):
        await LedgerRetry("batch.delayed")(Failing(error), 1)


async def test_a_process_that_is_cut_off_stops_trying() -> None:
    class Health:
        is_cut_off = True

    with pytest.raises(CutOff):
        await LedgerRetry("batch.delayed", Health())(Failing(LedgerAway()), 1)  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [TimeoutError(), asyncpg.QueryCanceledError("statement timeout")])
async def test_a_statement_that_runs_out_of_its_time_is_repeated_for_halves_of_its_items(error: Exception) -> None:
    done: list[list[int]] = []

    async def work(items: Sequence[int]) -> None:
        if len(items) > 3:
            raise error
        done.append(list(items))

    await LedgerRetry("record.delayed").in_parts(work, range(10))
    assert done == [[0, 1], [2, 3, 4], [5, 6], [7, 8, 9]]


async def test_one_item_is_tried_again_however_slow_it_is() -> None:
    assert await LedgerRetry("batch.delayed")(Failing(TimeoutError(), TimeoutError()), 1) == "done"


async def test_a_ledger_that_is_away_is_not_asked_for_less() -> None:
    class Health:
        is_cut_off = False
        is_answering = False

    retry = LedgerRetry("batch.delayed", Health())  # type: ignore[arg-type]
    assert await retry(Failing(TimeoutError(), TimeoutError()), 200) == "done"
