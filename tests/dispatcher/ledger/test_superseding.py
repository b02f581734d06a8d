"""Whatever is added, switched off, gone or removed between events: none is owed to a level that a more specific one has."""

from typing import Literal

import msgspec
import pytest
from dispatchers import STORE, DispatcherHarness, an_event
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dispatcher.policy.endpoint import Endpoint, FaxMatch
from shared.domain import EventType, Provider

Level = Literal["general", "specific"]
Step = tuple[Literal["add", "off", "on", "gone", "remove", "event"], Level, int]

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "off", "on", "gone", "remove", "event", "event"]),
        st.sampled_from(["general", "specific"]),
        st.integers(0, 3),
    ),
    max_size=12,
).map(lambda steps: [*steps, ("event", "general", 0)])


class Model:
    """The endpoints that there should be: by level, and whether each is on."""

    def __init__(self) -> None:
        self.levels: dict[Level, dict[Endpoint, bool]] = {"general": {}, "specific": {}}

    def expected(self) -> dict[str, str]:
        """Return the state of each delivery that an event should have, by endpoint."""
        level = self.levels["specific"] or self.levels["general"]
        return {str(endpoint.id): "pending" if is_on else "skipped" for endpoint, is_on in level.items()}


@pytest.mark.parametrize("scope", ["number", "fax"])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
async def test_an_event_is_owed_to_the_most_specific_level_that_there_is_on_or_off(
    harness: DispatcherHarness, scope: Literal["number", "fax"], steps: list[Step]
) -> None:
    await harness.pool.execute("UPDATE endpoints SET removed_at = now() WHERE removed_at IS NULL")
    number = await harness.pool.fetchval("SELECT 1000 * (1 + count(*)) FROM events")
    fax_id = f"fax-{number}"
    match = f"+1555{number:07}" if scope == "number" else FaxMatch(provider=Provider.PHAXIO, fax_id=fax_id)
    model = Model()
    for position, (step, level, which) in enumerate(steps):
        known = list(model.levels[level])
        if step == "add":
            fields = {"scope": scope, "match": match} if level == "specific" else {}
            model.levels[level][await harness.endpoint(**fields)] = True
        elif step == "event":
            event_type = EventType.RECEIVED if scope == "number" else EventType.DELIVERED
            to_number = match if scope == "number" else "+15550100102"
            event = an_event(number + position, event_type, to_number=to_number)
            event = msgspec.structs.replace(event, fax_id=fax_id)
            await harness.take(event)
            rows = await harness.pool.fetch("SELECT * FROM deliveries WHERE event_id = $1", event.id)
            assert {str(row["endpoint_id"]): row["state"] for row in rows} == model.expected()
            assert {row["reason"] for row in rows if row["state"] == "skipped"} <= {"endpoint_disabled"}
        elif known:
            endpoint = known[which % len(known)]
            if step == "remove":
                await STORE.remove(harness.pool, endpoint.id)
                del model.levels[level][endpoint]
            elif step == "gone":
                await STORE.gone(harness.pool, endpoint.id)
                model.levels[level][endpoint] = False
            else:
                await STORE.update(harness.pool, msgspec.structs.replace(endpoint, enabled=step == "on"))
                model.levels[level][endpoint] = step == "on"
