"""Adding a format is a module, a line in the registry and the rest of this list; a forgotten one is named."""

import sys

import pytest
from format_cases import NOW, SAMPLES, WORDS, own_reader

from dispatcher.formats import FORMATS
from dispatcher.formats.base import Format
from dispatcher.formats.tokens import new_token
from dispatcher.ops.listener.readers import READERS
from dispatcher.ops.simulator.samples import SAMPLES as SAMPLES_OF_PROVIDERS
from docs.generate.formats import NO_EQUIVALENT, cell, table
from shared.domain import EventType as T
from shared.domain import Provider


def missing(format_name: str, rendering: Format) -> list[str]:
    """Return what a format still lacks: what adding one consists of."""
    lacks = []
    if format_name not in READERS:
        lacks.append("a reader in dispatcher/ops/listener/readers.py, or `faxhook listen` cannot verify it")
    documented = sys.modules[type(rendering).__module__].__doc__ or ""
    if "| ours |" not in documented or format_name not in documented:
        lacks.append("a mapping table in its module's docstring, with the format's name")
    try:
        own_reader(format_name, new_token(format_name))
    except KeyError:
        lacks.append("an application's own reader in tests/support/format_cases.py")
    if format_name not in WORDS:
        lacks.append("the types that it has words for, in tests/support/format_cases.py")
    for provider in SAMPLES_OF_PROVIDERS:
        events = [each.event for each in SAMPLES if each.provider == provider]
        if not any(rendering.has_word_for(event) for event in events):
            lacks.append(f"a sample of {provider} that it can say")
    if f"| {format_name} |" not in table().replace(" |\n", " |"):
        lacks.append("a column in the table of docs/formats.md")
    return lacks


@pytest.mark.parametrize("format_name", FORMATS)
def test_a_registered_format_lacks_nothing_of_the_checklist(format_name):
    assert missing(format_name, FORMATS[format_name]) == []


def test_a_format_that_is_only_registered_is_told_what_it_lacks():
    class Mute:
        def has_word_for(self, _event):
            return False

    Mute.__module__ = __name__
    assert len(missing("mute-v0", Mute())) == 5 + len(SAMPLES_OF_PROVIDERS)


def test_every_provider_has_a_sample_of_a_good_and_of_a_bad_ending():
    for provider in Provider:
        types = {each.event.type for each in SAMPLES if each.provider == provider}
        assert types & {T.DELIVERED, T.RECEIVED}
        assert types & {T.FAILED, T.RECEIVE_FAILED}


def test_the_tables_cells_say_what_happens():
    page = next(each for each in SAMPLES if each.event.type is T.PAGE_SENT)
    received = next(each for each in SAMPLES if each.event.type is T.RECEIVED)
    assert cell("phaxio-v1", page, NOW) == NO_EQUIVALENT
    assert (cell("phaxio-v2.1", page, NOW), cell("phaxio-v2.1", received, NOW)) == ("rendered", "rendered, file")
