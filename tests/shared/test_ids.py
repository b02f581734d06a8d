"""A command id is the version 5 UUID of its event and endpoint."""

from uuid import UUID, uuid5

from hypothesis import given
from hypothesis import strategies as st

from shared.ids import command_id

NAMESPACE = UUID("6b0c1c1e-3d55-4f5c-9d0e-0f4b7f6a9e51")
"""What applications were given command ids under: it never changes."""


@given(st.text(st.characters(exclude_categories=["Cs"])), st.uuids())
def test_a_command_id_is_what_the_standard_library_makes(event_id: str, endpoint_id: UUID) -> None:
    assert command_id(event_id, endpoint_id) == str(uuid5(NAMESPACE, f"{event_id} {endpoint_id}"))


def test_the_command_id_of_an_event_and_an_endpoint_never_changes() -> None:
    endpoint_id = UUID("01939d1a-0000-7000-8000-000000000001")
    assert command_id("phaxio:abc", endpoint_id) == "6ae10100-222b-5dea-877e-74e33afea9c1"
