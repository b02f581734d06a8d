"""Asterisk: what the operator's own dialplan reports of a received fax.

The mistakes to expect are a dialplan's: a variable that was not substituted, a status that was never set, a path to
somewhere else. A report that is not certain makes no event; it is kept as unreadable. The file itself is read by the
ingress (`spool`); here its path is only checked as text.
"""

import os.path
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from shared.callback import Callback, Parsed, SpoolFile, Verified
from shared.domain import Provider
from shared.errors import CredentialsInvalid, Unreadable
from shared.providers.asterisk.event import compose
from shared.providers.bodies import read_body
from shared.signatures import same_secret

SECRET_HEADER: Final = "X-Internal-Secret"  # noqa: S105 - a header's name

_NAMES: Final = frozenset({"tiff_path", "to_number", "from_number", "faxstatus", "faxpages", "uniqueid"})


class AsteriskAdapter:
    """The operator's own Asterisk.

    Args:
        secrets: Of `X-Internal-Secret`; several are all valid (rotation).
        spool_dir: Where its TIFFs lie, as an absolute path; None: paths are kept as text and no file is read.

    Raises:
        ValueError: There is no secret, or the folder's path is not absolute.
    """

    provider: Provider = Provider.ASTERISK
    routes: tuple[str, ...] = ("/_internal/asterisk/inbound",)

    def __init__(self, *, secrets: Sequence[str], spool_dir: Path | None) -> None:
        self._secrets = tuple(filter(None, secrets))
        if not self._secrets:
            raise ValueError("ASTERISK_INBOUND_SECRET is empty: Asterisk needs a secret")
        if spool_dir is not None and not spool_dir.is_absolute():
            raise ValueError("ASTERISK_SPOOL_DIR must be an absolute path")
        self._spool_dir = None if spool_dir is None else _normal(str(spool_dir))

    def verify(self, callback: Callback) -> Verified:
        """Compare the secret.

        Raises:
            CredentialsInvalid: It is missing or wrong.
        """
        if not same_secret(self._secrets, callback.headers.get(SECRET_HEADER)):
            raise CredentialsInvalid(f"{SECRET_HEADER} is missing or wrong")
        return Verified(by="asterisk-secret")

    def parse(self, callback: Callback, verified: Verified) -> Parsed:  # noqa: ARG002 - the body says it all
        """Make an event of a report.

        Raises:
            Unreadable: A variable was not substituted, the path leads out of the spool folder, or it cannot be told
                which fax this was or what became of it.
        """
        sent, _ = read_body(callback.headers.get("Content-Type"), callback.body, once=_NAMES)
        if _is_unsubstituted(sent):
            raise Unreadable("a variable of the dialplan was not substituted: there is a ${ in a field")
        report = _by_name(sent)
        path = _text(report, "tiff_path")
        file = self._spool_file(path) if path else None
        event, has_document = compose(report, path, callback, sent)
        return Parsed(event=event, document=file if has_document else None)

    def _spool_file(self, path: str) -> SpoolFile | None:
        if self._spool_dir is None:
            return None
        normal = _normal(path)
        # U+FFFD replaced what is not text; with it the path names another file.
        if "\ufffd" in path or not normal.startswith(self._spool_dir.rstrip("/") + "/"):
            raise Unreadable("tiff_path does not lie in the spool folder")
        return SpoolFile(path=Path(normal))


def _normal(path: str) -> str:
    """Return *path* without `.`, `..` and doubled slashes, the two leading ones included, which `normpath` keeps."""
    normal = os.path.normpath(path)
    return normal[1:] if normal.startswith("//") else normal


def _is_unsubstituted(value: Any) -> bool:
    """Is there a `${` in any text of *value*, names included?"""
    if isinstance(value, str):
        return "${" in value
    if isinstance(value, dict):
        return any(_is_unsubstituted(name) or _is_unsubstituted(item) for name, item in value.items())
    return isinstance(value, list) and any(map(_is_unsubstituted, value))


def _by_name(sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was sent by its names in lower case: variables of a dialplan are written in capitals.

    Quotes around a value are the dialplan's. Those of a status are left to what reads it.
    """
    report: dict[str, Any] = {}
    for name, sent_value in sent.items():
        value = sent_value if name.lower() == "faxstatus" else _unquoted(sent_value)
        known = report.setdefault(name.lower(), value)
        if known != value and name.lower() in _NAMES:
            raise Unreadable(f"{name.lower()} is given twice, with different values")
    return report


def _unquoted(value: Any) -> Any:
    if isinstance(value, str) and len(text := value.strip()) > 1 and text[0] == text[-1] == '"':
        return text[1:-1]
    return value


def _text(report: Mapping[str, Any], name: str) -> str:
    """Return a trimmed text; empty if it is missing, null or blank.

    Raises:
        Unreadable: It is something else.
    """
    value = report.get(name)
    if value is not None and not isinstance(value, str):
        raise Unreadable(f"{name} is not a text")
    return value.strip() if value else ""
