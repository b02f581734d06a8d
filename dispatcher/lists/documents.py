"""The document of a received fax that a list told: fetched with our key, or from where the provider keeps it.

| | then |
|---|---|
| Phaxio, Sinch | the file of the fax |
| Telnyx | the URL on the list, which lives for ten minutes; else a new one |
| the provider has none, or gives something that is no document | the event goes without |
| the provider does not answer now | `ListUnavailable`: the fax is left to the next reading |
"""

from dispatcher.lists.apis.base import DocumentStep, ListedFax
from dispatcher.lists.apis.telnyx import media_url_of
from dispatcher.lists.client import ListClient
from dispatcher.lists.errors import KeyRefused, NotAList, NotFound, NotReachable
from shared.providers.common import document_type, is_document

_HAS_NONE = (NotFound, NotAList, KeyRefused, NotReachable)
"""Asking again will not help."""


async def fetch_document(client: ListClient, fax_id: str, fax: ListedFax) -> tuple[bytes, str] | None:
    """Return content and type of the document of a received fax, or None if it cannot be had.

    Raises:
        ListUnavailable: It may be there another time.
    """
    step = client.api.document_of(fax_id)
    if step.url is not None:
        return await _document(client, step.url, is_ours=True)
    found = None
    if fax.media_url is not None:
        found = await _document(client, fax.media_url, is_ours=False)
    if found is None and (url := await _refreshed(client, step)) is not None:
        found = await _document(client, url, is_ours=False)
    return found


async def _document(client: ListClient, url: str, *, is_ours: bool) -> tuple[bytes, str] | None:
    try:
        content, sent_type = await (client.ours("GET", url) if is_ours else client.foreign(url))
    except _HAS_NONE:
        return None
    # An error page with the status 200 must not be told as a fax.
    return (content, document_type(content, sent_type)) if is_document(content) else None


async def _refreshed(client: ListClient, step: DocumentStep) -> str | None:
    """Return the new URL of a document; None if the provider makes none."""
    if step.refresh_url is None or step.fax_url is None:
        return None
    try:
        await client.ours("POST", step.refresh_url)
        body, _ = await client.ours("GET", step.fax_url)
        return media_url_of(body)
    except _HAS_NONE:
        return None
