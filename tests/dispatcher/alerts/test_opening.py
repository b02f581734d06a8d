"""A dispatcher with ALERT_URLS tells the operator by itself; its alert kinds are those of the metric."""

import json

from dispatchers import DispatcherHarness, an_event
from waiting import until

from dispatcher.alerts.kinds import Kind
from dispatcher.measures import ALERT_KINDS


def test_the_metric_has_every_kind() -> None:
    assert {str(kind) for kind in Kind} == set(ALERT_KINDS)


async def test_a_dead_letter_reaches_the_operator(harness: DispatcherHarness, dispatching) -> None:
    await harness.endpoint()
    await harness.take(an_event(1))
    await harness.pool.execute("UPDATE deliveries SET state = 'dead', reason = 'http_500', settled_at = now()")
    url = f"{harness.receiver.base_url}/alerts"
    async with dispatching(ALERT_URLS=url, ALERT_SECRET="whsec_" + "QUJD" * 8, CONSOLE_URL="https://fax.example/"):
        await until(lambda: any(each.target == "/alerts" for each in harness.receiver.received), "alert", 30)
    (alert,) = [json.loads(each.body) for each in harness.receiver.received if each.target == "/alerts"]
    assert alert["data"]["what"] == "1 delivery to 1 endpoint is dead: http_500"
    assert alert["data"]["url"] == "https://fax.example/dead"
