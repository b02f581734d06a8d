"""An id that names nothing is answered 404 with what was looked for, whatever text it is."""

from uuid import UUID

import pytest

from dispatcher.ops.api.lookups import NoSuch, read_id
from dispatcher.ops.dead.errors import UnknownJob

ID = UUID("018f0000-0000-7000-8000-000000000001")


def test_an_id_is_read_in_every_notation_of_a_uuid() -> None:
    for text in (str(ID), str(ID).upper(), ID.hex, f"{{{ID}}}", f"urn:uuid:{ID}"):
        assert read_id(text, "endpoint") == ID


@pytest.mark.parametrize("text", ["", "7", "nonsense", "é" * 500, f"{ID}0", "a\0b"])
def test_a_text_that_is_not_an_id_names_nothing(text: str) -> None:
    with pytest.raises(NoSuch, match=r"^there is no endpoint `[^`]|^the endpoint is not named$") as refused:
        read_id(text, "endpoint")
    assert len(str(refused.value)) < 300
    with pytest.raises(UnknownJob, match=r"^there is no job `[^`]|^the job is not named$"):
        read_id(text, "job", UnknownJob)
