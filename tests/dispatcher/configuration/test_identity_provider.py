"""The settings of the log-in by OpenID Connect belong together, and a wrong one names its variable."""

import pytest

from dispatcher.configuration.identity_provider import read_provider
from shared.settings import BadSetting

GOOD = {
    "issuer": "https://id.example/realm/",
    "client_id": "console",
    "client_secret": None,
    "console_url": "https://fax.example/",
    "roles_claim": "roles",
    "roles": ("faxhook-ops=operate", "a=b=read"),
}


def test_the_issuer_stays_as_it_is_and_roles_give_rights() -> None:
    provider = read_provider(**GOOD)
    assert provider is not None
    assert (provider.issuer, provider.console_url) == ("https://id.example/realm/", "https://fax.example")
    assert provider.rights == {"faxhook-ops": "operate", "a=b": "read"}
    assert read_provider(**{**GOOD, "issuer": None, "client_id": None}) is None


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"issuer": None}, "OIDC_ISSUER is not set"),
        ({"client_id": None}, "OIDC_CLIENT_ID is not set"),
        ({"console_url": None}, "CONSOLE_URL is not set"),
        ({"issuer": "http://id.example"}, "OIDC_ISSUER is wrong: it must begin with https"),
        ({"issuer": "https://user:secret@id.example"}, "OIDC_ISSUER is wrong"),
        ({"issuer": "https://id.example/?a=b"}, "OIDC_ISSUER is wrong"),
        ({"issuer": "id.example"}, "OIDC_ISSUER"),
        ({"console_url": "https://fax.example/console"}, "CONSOLE_URL is wrong: nothing but a slash"),
        ({"console_url": "ftp://fax.example"}, "CONSOLE_URL is wrong"),
        ({"roles": ("ops",)}, "OIDC_ROLES is wrong: `ops`"),
        ({"roles": ("ops=root",)}, "OIDC_ROLES is wrong: `ops=root`"),
        ({"roles": ("=read",)}, "OIDC_ROLES is wrong: `=read`"),
    ],
)
def test_a_wrong_or_missing_variable_is_named(changed: dict[str, object], named: str) -> None:
    with pytest.raises(BadSetting, match=named) as refused:
        read_provider(**{**GOOD, **changed})
    assert "secret" not in str(refused.value)
