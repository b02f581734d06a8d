"""The kinds of matters that the operator is told of, and what to do about each. Pure.

A *condition* lasts until what raised it resolves it. A *happening* adds up: what comes later is told again, at most
once an hour, and it is resolved, without a message, once nothing more came for a day.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import msgspec

DAY_SECONDS: Final = 86_400.0


class Kind(StrEnum):
    """What a matter is about; the comment says what its `subject` is."""

    ENDPOINT_FAILING = "endpoint_failing"  # the endpoint's id
    ENDPOINT_GONE = "endpoint_gone"  # the endpoint's id
    DEAD_LETTERS = "dead_letters"  # kind and cause: `delivery timeout`
    PROVIDER_REFUSED = "provider_refused"  # the provider
    SILENCE = "silence"  # the provider, or provider, direction and number: `telnyx received +15550100`
    FAXES_STALLED = "faxes_stalled"  # the provider
    GAP_REPAIRED = "gap_repaired"  # the provider
    ACCOUNT_MISMATCH = "account_mismatch"  # provider and day: `telnyx 2026-11-28`


class KindFacts(msgspec.Struct, frozen=True, kw_only=True):
    """How a kind is treated.

    Attributes:
        title: What happened, as a heading.
        advice: What to do, in sentences.
        page: The console's page of it; `{subject}` is the matter's.
        is_happening: See the module.
        is_reminded: Once a day, while it lasts.
    """

    title: str
    advice: str
    page: str
    is_happening: bool = False
    is_reminded: bool = False


KINDS: Final[Mapping[Kind, KindFacts]] = {
    Kind.ENDPOINT_FAILING: KindFacts(
        title="An endpoint is failing",
        advice="Ask the application's operators whether it is up. What it is owed is tried again by the table of "
        "waits, for three days; pause the endpoint if it needs longer, so that nothing becomes a dead letter.",
        page="/endpoints/{subject}",
        is_reminded=True,
    ),
    Kind.ENDPOINT_GONE: KindFacts(
        title="An endpoint was switched off",
        advice="It answered 410: the application wants no more webhooks. Ask its operators. If that was a mistake, "
        "enable the endpoint and replay its dead letters; if not, remove it.",
        page="/endpoints/{subject}",
    ),
    Kind.DEAD_LETTERS: KindFacts(
        title="There are dead letters",
        advice="These are not tried again by themselves. Read the cause on the console, remove it, then replay them, "
        "or discard them with a reason.",
        page="/dead",
    ),
    Kind.PROVIDER_REFUSED: KindFacts(
        title="A provider's callbacks are refused",
        advice="Compare the provider's secret in the settings of the ingress with the one in the provider's console, "
        "and this machine's clock with the time. The provider repeats what was refused, but not for ever: afterwards "
        "run `faxhook backfill` for the time since.",
        page="/faxes",
        is_reminded=True,
    ),
    Kind.SILENCE: KindFacts(
        title="No faxes come",
        advice="Send a test fax. Then look at the provider's status page, at the callback URL in the provider's "
        "console, and whether the ingress can be reached from outside. If nothing is wrong there, it is a quiet day: "
        "this resolves itself with the next fax.",
        page="/faxes",
    ),
    Kind.FAXES_STALLED: KindFacts(
        title="Faxes have no ending",
        advice="Look at these faxes in the provider's console. What was sent may have to be sent again; what was "
        "received may have to be asked for again.",
        page="/faxes?state=fax.stalled",
        is_happening=True,
    ),
    Kind.GAP_REPAIRED: KindFacts(
        title="Missed faxes were found",
        advice="The provider's list had faxes whose callbacks never came. They are told by now. Find out why the "
        "callbacks did not come: was the ingress away, or the callback URL wrong?",
        page="/faxes",
        is_happening=True,
    ),
    Kind.ACCOUNT_MISMATCH: KindFacts(
        title="The daily account does not add up",
        advice="Run `faxhook account --day` for the day: it names the faxes, or says why the list was not "
        "read. Then run `faxhook backfill` for that day.",
        page="/accounts",
        is_reminded=True,
    ),
}
