"""What the fuzz tests share: settings with a moderate number of examples, or the long profile's in `make fuzz`."""

from collections.abc import Callable
from datetime import UTC, datetime

from hypothesis import HealthCheck, Phase, settings

NOW = datetime(2026, 10, 3, 8, 0, tzinfo=UTC)
HIDDEN = "hidden-" + "x" * 20
"""Stands where a secret would."""

MESSAGE = (
    '{"id":"phaxio:1","provider":"phaxio","type":"fax.failed","phase":"postflight","direction":"sent","fax_id":"1",'
)
MESSAGE += (
    '"received_at":"2026-10-03T08:00:00Z","failure":{"code":"1"},"media":{"url":"https://a/"},"fields":{"a":[1]}}'
)

_USUAL_EXAMPLES = 100  # hypothesis's own


def examples(count: int = _USUAL_EXAMPLES, *, at_most: int = 1_000_000, shrink: bool = True) -> settings:
    """Return settings for *count* examples, or as many as the profile has if that is more, but *at_most*.

    Without *shrink* the first failing example is shown as it is: where each costs a connection, smaller ones take long.
    """
    asked = settings.default.max_examples if settings.default is not None else _USUAL_EXAMPLES
    return settings(
        deadline=None,
        max_examples=min(at_most, max(count, asked) if asked > _USUAL_EXAMPLES else count),
        phases=[phase for phase in Phase if shrink or phase not in {Phase.shrink, Phase.explain}],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
    )


def refusal(read: Callable[[], object], refused: type[Exception]) -> str | None:
    """Return the sentence that *read* is refused with; None if it is not. Anything but *refused* is raised."""
    try:
        read()
    except refused as error:
        return str(error)
    return None
