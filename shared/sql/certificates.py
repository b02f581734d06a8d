"""The certificates that `DATABASE_URL` names: readable, and really used."""

import ssl
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

from shared.settings import BadSetting

MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
VERIFYING: Final = MODES[-2:]


def check_certificates(variable: str, database_url: str) -> None:
    """Check the parameters for TLS of *database_url*.

    Raises:
        BadSetting: A file cannot be read, or the driver would accept a stranger's certificate although a CA is named.
    """
    query = {name: values[-1] for name, values in parse_qs(urlsplit(database_url).query).items()}
    mode, authority = query.get("sslmode", "prefer"), query.get("sslrootcert")
    if mode not in MODES:
        raise BadSetting(f"{variable} is wrong: sslmode is one of {', '.join(MODES)}")
    if authority and mode not in VERIFYING:
        raise BadSetting(
            f"{variable} is wrong: sslrootcert is not used with sslmode={mode}, which takes any certificate: write "
            "sslmode=verify-full"
        )
    if authority and not _holds_certificates(authority):
        raise BadSetting(f"{variable} is wrong: sslrootcert {authority} cannot be read as certificates in PEM format")
    for name in ("sslcert", "sslkey", "sslcrl"):
        if name in query and not _is_readable(query[name]):
            raise BadSetting(f"{variable} is wrong: {name} {query[name]} cannot be read")


def _holds_certificates(path: str) -> bool:
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ValueError):
        return False
    return True


def _is_readable(path: str) -> bool:
    try:
        Path(path).read_bytes()
    except OSError:
        return False
    return True
