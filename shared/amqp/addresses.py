"""The addresses in `AMQP_URL`: one broker, or the nodes of a cluster, each a whole URL, separated by commas."""

import re
import ssl
from typing import Final
from urllib.parse import parse_qs, unquote, urlsplit

from shared.settings import BadSetting, check_url

SCHEMES: Final = ("amqp", "amqps")
TLS_FILES: Final = ("cafile", "capath", "certfile", "keyfile")
"""Parameters of an `amqps://` URL that name a file or a folder."""

AMQP_URL_DESCRIPTION: Final = (
    "RabbitMQ, `amqp://` or `amqps://` with user, password and vhost; of several, separated by commas, one that answers"
    "; `?cafile=` names a private CA"
)

_BETWEEN: Final = re.compile(r"\s*,\s*(?=[A-Za-z][A-Za-z0-9+.-]*://)")


def split_addresses(amqp_url: str) -> list[str]:
    """Return the URLs that *amqp_url* holds.

    >>> split_addresses("amqp://u:p@one/v, amqps://u:p@two:5671/v")
    ['amqp://u:p@one/v', 'amqps://u:p@two:5671/v']
    """
    return _BETWEEN.split(amqp_url.strip().rstrip(",").rstrip())


def vhost_of(amqp_url: str) -> str:
    """Return the vhost, which all addresses share.

    >>> vhost_of("amqp://u:p@one/fax%2Fhook,amqp://u:p@two/fax%2Fhook"), vhost_of("amqp://one")
    ('fax/hook', '/')
    """
    return unquote(urlsplit(split_addresses(amqp_url)[0]).path[1:]) or "/"


def check_addresses(variable: str, amqp_url: str) -> None:
    """Check every address of *variable*, and the files that it names.

    Raises:
        BadSetting: One is wrong. The sentence does not show it: it may hold a password.
    """
    addresses = split_addresses(amqp_url)
    for address in addresses:
        url = check_url(variable, address, SCHEMES)
        if not url.host or "," in url.host:
            raise BadSetting(f"{variable} is wrong: of several addresses each is a whole URL, amqp://…,amqp://…")
        _check_files(variable, address)
    if len({vhost_of(address) for address in addresses}) > 1:
        raise BadSetting(f"{variable} is wrong: its addresses name different vhosts")


def _check_files(variable: str, address: str) -> None:
    files = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items() if name in TLS_FILES}
    if files and urlsplit(address).scheme != "amqps":
        raise BadSetting(f"{variable} is wrong: {', '.join(files)} is for TLS, so the URL must begin with amqps://")
    if "keyfile" in files and "certfile" not in files:
        raise BadSetting(f"{variable} is wrong: keyfile is set, but certfile is not")
    if not files:
        return  # to read the system's authorities takes longer than all other settings
    try:
        context = ssl.create_default_context(cafile=files.get("cafile"), capath=files.get("capath"))
        if "certfile" in files:
            context.load_cert_chain(files["certfile"], files.get("keyfile"))
    except (OSError, ValueError) as error:  # an SSLError is an OSError: a file without a certificate
        named = ", ".join(f"{name} {path}" for name, path in files.items())
        raise BadSetting(f"{variable} is wrong: {named} cannot be read as certificates in PEM format") from error
