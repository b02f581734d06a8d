"""What the environment and the settings file say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from .failures import BadSetting


class Settings:
    """What the environment and the settings file say."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        found = {**_settings_file(environ.get("FAXHOOK_REPORT_ENV", "/etc/faxhook-report.env")), **environ}
        self.url = found.get("FAXHOOK_URL", "").rstrip("/")
        self.secret = found.get("FAXHOOK_SECRET", "")
        self.fax_dir = Path(found.get("FAXHOOK_FAX_DIR", "/var/spool/fax"))
        self.report_dir = Path(found.get("FAXHOOK_REPORT_DIR", "/var/spool/faxhook-report"))
        try:
            self.idle_seconds = float(found.get("FAXHOOK_IDLE_SECONDS", "600"))
        except ValueError:
            raise BadSetting("FAXHOOK_IDLE_SECONDS is wrong: it must be a number of seconds") from None

    def check_target(self) -> None:
        """Raise `BadSetting` if nothing can be posted."""
        parts = urlsplit(self.url)
        try:
            is_target = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_target = False
        if not is_target:
            raise BadSetting("FAXHOOK_URL is wrong: it must be http://host:port or https://host")
        if not self.secret:
            raise BadSetting("FAXHOOK_SECRET is not set: it is the ingress's ASTERISK_INBOUND_SECRET")


def _settings_file(name: str) -> dict[str, str]:
    try:
        text = Path(name).read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BadSetting(f"{name} cannot be read: {error.strerror}") from None
    lines = (line.partition("=") for line in text.splitlines() if "=" in line and not line.lstrip().startswith("#"))
    return {key.strip(): value.strip().strip("'\"") for key, _, value in lines}
