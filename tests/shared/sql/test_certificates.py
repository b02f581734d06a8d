"""A CA that `DATABASE_URL` names is used to verify, or the setting is refused; through a pooler with TLS it is verified."""

import pytest
from certificates import Authority, certificates
from pgbouncers import pooled

from shared.settings import BadSetting
from shared.sql.certificates import check_certificates
from shared.sql.connection import LedgerAway, check_sessions

URL = "postgresql://u:s3cret@ledger/faxhook"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("sslrootcert={ca}", "sslmode=verify-full"),
        ("sslmode=require&sslrootcert={ca}", "sslmode=verify-full"),
        ("sslmode=verify-all&sslrootcert={ca}", "sslmode is one of"),
        ("sslmode=verify-full&sslrootcert=/no/such.pem", "/no/such.pem"),
        ("sslmode=verify-full&sslrootcert={key}", "PEM"),
        ("sslmode=verify-full&sslcert=/no/such.pem", "sslcert /no/such.pem"),
    ],
)
def test_a_certificate_that_would_not_be_used_or_cannot_be_read_is_refused(tmp_path, query, words):
    authority = Authority(tmp_path)
    text = query.format(ca=authority.path, key=authority.issue("server").key)
    with pytest.raises(BadSetting, match=words) as caught:
        check_certificates("DATABASE_URL", f"{URL}?{text}")
    assert "DATABASE_URL" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_what_needs_no_certificate_is_taken(tmp_path):
    for query in ("", "?sslmode=require", f"?sslmode=verify-full&sslrootcert={Authority(tmp_path).path}"):
        check_certificates("DATABASE_URL", URL + query)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("right", None),
        ("expired", "certificate has expired"),
        ("other_host", "IP address mismatch"),
        ("stranger", "unable to get local issuer certificate"),
    ],
)
async def test_a_ledger_with_a_certificate_that_is_not_right_is_refused_with_the_reason(
    database_url, open_folder, kind, words
):
    authority, issued = certificates(open_folder)
    files = {
        "client_tls_cert_file": str(issued[kind].certificate),
        "client_tls_key_file": str(issued[kind].key),
    }
    async with pooled(database_url, client_tls_sslmode="require", **files) as bouncer:
        url = f"{bouncer.url}?sslmode=verify-full&sslrootcert={authority.path}"
        if words is None:
            await check_sessions(url)
        else:
            with pytest.raises(LedgerAway, match=words) as caught:
                await check_sessions(url)
            assert "its certificate is not accepted" in str(caught.value)


async def test_a_ledger_that_wants_tls_and_gets_none_is_said(database_url, open_folder):
    _, issued = certificates(open_folder)
    files = {"client_tls_cert_file": str(issued["right"].certificate), "client_tls_key_file": str(issued["right"].key)}
    async with pooled(database_url, client_tls_sslmode="require", **files) as bouncer:
        with pytest.raises(LedgerAway, match=r"SSL required|TLS"):
            await check_sessions(f"{bouncer.url}?sslmode=disable")
