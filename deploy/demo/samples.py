"""What the demo sends, and which event must result: by the adapters and the format, not by a list of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from dispatcher.formats import DEFAULT_FORMAT, FORMATS
from dispatcher.ops.simulator.samples import SAMPLES, SampleCallback, make_sample
from dispatcher.ops.simulator.settings import SimulateSettings
from ingress.settings import IngressSettings
from shared.callback import Adapter, Callback
from shared.domain import Event, EventType, Phase, utc_now
from shared.providers import make_adapters
from shared.settings import load

_STORIES = frozenset({EventType.DELIVERED, EventType.RECEIVED})
"""The endings that inflight samples of the same provider and direction lead to; every other ending is alone."""


@dataclass(frozen=True)
class Expected:
    """A sample, the event that the ingress must make of it, and whether the listener's format has a word for that."""

    sample: SampleCallback
    event: Event
    has_word: bool

    @property
    def fax(self) -> tuple[str, str]:
        """Which fax it is about."""
        return self.event.provider, self.event.fax_id

    @property
    def is_ending(self) -> bool:
        """Is it the fax's ending?"""
        return self.event.phase is Phase.POSTFLIGHT


def expected_samples(variables: Mapping[str, str], base_url: str, media_url: str) -> list[Expected]:
    """Return every sample of every provider, signed; what is inflight belongs to the same fax as an ending.

    *media_url* is where Telnyx says that the documents of received faxes lie.
    """
    settings = load(SimulateSettings, variables)
    adapters = make_adapters(load(IngressSettings, variables).providers())
    found: list[Expected] = []
    for provider in SAMPLES:

        def make(name: str, fax_id: str | None = None, provider: str = provider) -> Expected:
            sample = make_sample(settings, base_url, provider, name, fax_id=fax_id, media_url=media_url)
            return _expected(sample, adapters)

        drafts = [make(name) for name in SAMPLES[provider]]
        stories: dict[str, str] = {}
        for draft in drafts:
            if draft.event.type in _STORIES:
                stories.setdefault(draft.event.direction, draft.sample.fax_id)
        for draft in drafts:
            story = stories.get(draft.event.direction)
            if draft.is_ending or story is None:
                found.append(draft)
            else:
                found.append(make(draft.sample.event_name, story))
    return found


def _expected(sample: SampleCallback, adapters: Mapping[str, Adapter]) -> Expected:
    callback = Callback(
        route=sample.path,
        target=sample.target,
        query=dict(parse_qsl(sample.query)),
        headers=sample.headers,
        body=sample.body,
        received_at=utc_now(),
    )
    adapter = adapters[sample.path]
    event = adapter.parse(callback, adapter.verify(callback)).event
    return Expected(sample=sample, event=event, has_word=FORMATS[DEFAULT_FORMAT].has_word_for(event))
