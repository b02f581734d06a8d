"""The list API of each provider that has one."""

from dispatcher.configuration.lists import Access
from dispatcher.lists.apis.base import ListApi
from dispatcher.lists.apis.phaxio import PhaxioList
from dispatcher.lists.apis.sinch import SinchList
from dispatcher.lists.apis.telnyx import TelnyxList
from shared.domain import Provider


def list_api(access: Access) -> ListApi:
    """Return the API that *access* leads to."""
    match access.provider:
        case Provider.TELNYX:
            return TelnyxList(access.url, access.secret)
        case Provider.PHAXIO:
            return PhaxioList(access.url, access.user, access.secret)
        case Provider.SINCH:
            return SinchList(access.url, access.account, access.user, access.secret)
        case Provider.ASTERISK:
            raise ValueError("an Asterisk has no list")
