"""A message says what happened, since when, and what to do; whatever stands in it, mail and webhook stay well-formed."""

import json
from datetime import UTC, datetime
from email import message_from_bytes, policy
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from dispatcher.alerts.kinds import KINDS, Kind
from dispatcher.alerts.words import Notice, mail_of, make_notice, webhook_of
from dispatcher.channels.mail.address import Mailbox
from shared.domain import utc_now

AT = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
ALERT_ID, MESSAGE_ID = UUID(int=7), UUID(int=8)
SECRETS = ("whsec_" + "QUJD" * 8, "whsec_" + "REVG" * 8)


def notice(told_as: str = "raised", **fields: Any) -> Notice:
    row = {"id": ALERT_ID, "kind": "endpoint_failing", "subject": "17", "what": "crm.example.com: failing", "count": 1}
    return make_notice(
        {**row, "opened_at": AT, "last_at": AT, "resolved_at": None, **fields}, told_as, "https://fax.example"
    )


def mail(of: Notice) -> Any:
    content = mail_of(of, MESSAGE_ID, "ops@example.com", Mailbox("fax@example.com", "Faxes"), AT)
    return message_from_bytes(content, policy=policy.default)


def test_the_mail_says_what_happened_what_to_do_and_where_to_look() -> None:
    read = mail(notice(count=3))
    assert read["Subject"] == "[faxhook] An endpoint is failing: crm.example.com: failing"
    assert read["To"] == "ops@example.com"
    assert read["Message-ID"] == f"<{MESSAGE_ID}@example.com>"
    text, html = (read.get_body((kind,)).get_content() for kind in ("plain", "html"))
    for shown in (text, html):
        assert "29 November 2026, 12:00:00 UTC" in shown
        assert "What to do: Ask the application" in shown
        assert "https://fax.example/endpoints/17" in shown


def test_a_resolved_matter_asks_for_nothing() -> None:
    read = mail(notice("resolved", resolved_at=AT))
    assert read["Subject"].startswith("[faxhook] Resolved: An endpoint is failing")
    assert "What to do" not in read.get_body(("plain",)).get_content()


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("told_as", ["raised", "again", "reminder", "resolved"])
def test_every_kind_can_be_told(kind: Kind, told_as: str) -> None:
    assert KINDS[kind].title in mail(notice(told_as, kind=kind)).get_body(("plain",)).get_content()


@given(st.text(max_size=400), st.text(max_size=100))
def test_no_text_breaks_out_of_the_mail(what: str, subject: str) -> None:
    read = mail(notice(what=what, subject=subject))
    assert read.get_all("To") == ["ops@example.com"]
    assert set(read.keys()) <= {
        *("Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "X-Faxhook-Alert-Id", "References"),
        *("MIME-Version", "Content-Type"),
    }
    assert "<script" not in read.get_body(("html",)).get_content().lower()


@pytest.mark.parametrize("secret", SECRETS)
def test_the_webhook_verifies_with_each_secret_by_the_reference_library(secret: str) -> None:
    headers, body = webhook_of(notice(), MESSAGE_ID, SECRETS, utc_now())
    said = Webhook(secret).verify(body, headers)
    assert said == json.loads(body)
    assert said["type"] == "alert.raised"
    assert said["data"]["advice"] == KINDS[Kind.ENDPOINT_FAILING].advice
    assert said["data"]["url"] == "https://fax.example/endpoints/17"
    assert said["data"]["alert_id"] == str(ALERT_ID)
