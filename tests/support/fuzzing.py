"""How many examples a property is tried on: a moderate number each time, the long profile's in `make fuzz`."""

from hypothesis import HealthCheck, Phase, settings

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
