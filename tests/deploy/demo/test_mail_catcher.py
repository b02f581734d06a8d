"""The mail catcher takes every mail and says it in one line."""

import asyncio
import smtplib
from email.message import EmailMessage

from deploy.demo.mail_catcher import catching_mail


async def test_caught_mail_is_said_in_a_line():
    said = []
    message = EmailMessage()
    message["Subject"], message["To"] = "Fax 7 wurde zugestellt ✓", "a@example.com"
    message.set_content("text")
    message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename="fax.pdf")

    def send(url):
        host, port = url.removeprefix("smtp://").split(":")
        with smtplib.SMTP(host, int(port)) as client:
            client.send_message(message, "b@example.com", ["a@example.com"])

    async with catching_mail(said.append) as url:
        await asyncio.to_thread(send, url)
    assert said == ["to a@example.com: Fax 7 wurde zugestellt ✓ (attached: fax.pdf)"]
