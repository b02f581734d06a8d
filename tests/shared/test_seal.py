"""A sealed text keeps the time at which it was first sealed, also when another key seals it again."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography.fernet import Fernet

from shared.seal import Damaged, Seal, Unsealable

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def test_what_the_new_key_seals_again_needs_the_old_one_no_more_and_keeps_its_time() -> None:
    sealed = Seal([OLD]).seal("a token", after=datetime.now(UTC) + timedelta(days=1))
    again = Seal([NEW, OLD]).seal_again(sealed)
    assert Seal([NEW]).open(again) == "a token"
    assert Seal([NEW]).sealed_at(again) == Seal([OLD]).sealed_at(sealed) > datetime.now(UTC) + timedelta(days=1)


def test_one_that_is_sealed_after_another_is_later_in_the_same_second() -> None:
    seal = Seal([NEW])
    first = seal.sealed_at(seal.seal("first"))
    assert seal.sealed_at(seal.seal("second", after=first)) > first


@pytest.mark.parametrize(
    ("sealed", "error"),
    [(b"nothing", Damaged), (Seal([OLD]).seal("x"), Unsealable)],
    ids=["damaged", "another key's"],  # a sealed text is another one each time
)
def test_what_no_key_opens_has_no_time_and_is_not_sealed_again(sealed: bytes, error: type[Exception]) -> None:
    for ask in (Seal([NEW]).sealed_at, Seal([NEW]).seal_again):
        with pytest.raises(error):
            ask(sealed)
