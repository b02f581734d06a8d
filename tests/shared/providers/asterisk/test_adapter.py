"""Asterisk: only the configured secret verifies, and a folder that depends on the working directory is refused."""

from pathlib import Path

import pytest
from asterisk_callbacks import (
    ADAPTER,
    SECRET,
    callback,
)

from shared.errors import CredentialsInvalid
from shared.providers.asterisk.adapter import AsteriskAdapter


def test_the_secret_opens_and_several_are_valid_during_rotation():
    rotating = AsteriskAdapter(secrets=["old", SECRET], spool_dir=None)
    for secret in ("old", SECRET):
        assert rotating.verify(callback(b"", headers={"X-Internal-Secret": secret})).by == "asterisk-secret"


@pytest.mark.parametrize("given", [None, "", "sekre", "sekret ", "sekrets", "SEKRET", "sékret", "\udce9", "x" * 10_000])
def test_a_missing_or_wrong_secret_of_any_length_and_alphabet_is_401(given):
    with pytest.raises(CredentialsInvalid) as refusal:
        ADAPTER.verify(callback(b"{}", headers={} if given is None else {"X-Internal-Secret": given}))
    assert refusal.value.status == 401
    assert SECRET not in str(refusal.value)


def test_a_secret_that_is_not_ascii_opens_as_well():
    spelled = "sécrèt".encode().decode("ascii", "surrogateescape")  # as an HTTP server hands over a header
    AsteriskAdapter(secrets=["sécrèt"], spool_dir=None).verify(callback(b"", headers={"X-Internal-Secret": spelled}))


def test_without_a_secret_there_is_no_adapter():
    for secrets in ([], [""]):
        with pytest.raises(ValueError, match="secret"):
            AsteriskAdapter(secrets=secrets, spool_dir=None)


def test_a_spool_folder_that_depends_on_where_we_stand_stops_the_start():
    with pytest.raises(ValueError, match="ASTERISK_SPOOL_DIR"):
        AsteriskAdapter(secrets=[SECRET], spool_dir=Path("spool"))
