"""The variables of what shows the contents of faxes: `faxhook document`, `faxhook deliveries show`."""

from typing import Annotated

from msgspec import Meta

from dispatcher.settings import LedgerSettings


class ContentSettings(LedgerSettings, frozen=True, kw_only=True):
    """It needs no broker."""

    media_url: Annotated[str | None, Meta(description="where callbacks' bodies and documents are kept")] = None
