"""Header lines of a mail, which every reader decodes to the text as it was written. Pure.

A text that is not plain ASCII becomes encoded words (RFC 2047) as a whole. The folding of `email.policy` encodes word
by word, and loses or adds blanks between an encoded word and a plain one.
"""

import re
from email.header import Header
from email.utils import quote
from textwrap import wrap
from typing import Final

from dispatcher.channels.mail.address import Mailbox

MOST_LINE_CHARACTERS: Final = 76
"""RFC 2047: of a line with an encoded word; the word itself has at most 75."""

MOST_PLAIN_CHARACTERS: Final = 400
"""Of a text that is not encoded: on one line, each character escaped, it stays below the 998 of RFC 5322."""

_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_NEEDS_NO_QUOTES: Final = re.compile(rf"{_ATOM}(?: {_ATOM})*")


def text_header(name: str, text: str) -> str:
    r"""Return the header *name* with *text*, one line of printable characters: ASCII, folded, with CRLF.

    >>> text_header("Subject", "Fax sent")
    'Subject: Fax sent\r\n'
    >>> text_header("Subject", "Genève: ligne occupée par un autre appel")
    'Subject: =?utf-8?q?Gen=C3=A8ve=3A_ligne_occup=C3=A9e_par_un_autre_appel?=\r\n'
    """
    return f"{_plain(name, text) if _is_plain(text) else _encoded(name, text)}\r\n"


def mailbox_header(name: str, mailbox: Mailbox) -> str:
    r"""Return the header *name* with one address, after its name for people if it has one.

    >>> mailbox_header("From", Mailbox("fax@example.com", "Dr. Who, Fax"))
    'From: "Dr. Who, Fax" <fax@example.com>\r\n'
    """
    if not mailbox.name:
        return f"{name}: {mailbox.address}\r\n"
    if not _is_plain(mailbox.name):
        named = _encoded(name, mailbox.name)
    elif _NEEDS_NO_QUOTES.fullmatch(mailbox.name):
        named = _plain(name, mailbox.name)
    else:
        named = _plain(name, f'"{quote(mailbox.name)}"')
    address = f"<{mailbox.address}>"
    last_line = named.rpartition("\n")[2]
    blank = " " if len(last_line) + 1 + len(address) <= MOST_LINE_CHARACTERS else "\r\n "
    return f"{named}{blank}{address}\r\n"


def _is_plain(text: str) -> bool:
    """Is *text* read as it is? Not if it resembles an encoded word, or has blanks that readers join or strip."""
    return text.isascii() and text == " ".join(text.split()) and "=?" not in text and len(text) <= MOST_PLAIN_CHARACTERS


def _plain(name: str, text: str) -> str:
    """Return the header folded at blanks, never before the first word: a line without text is not allowed."""
    lines = wrap(
        text,
        MOST_LINE_CHARACTERS,
        initial_indent=f"{name}: ",
        subsequent_indent=" ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\r\n".join(lines) or f"{name}: "


def _encoded(name: str, text: str) -> str:
    header = Header(text, "utf-8", maxlinelen=MOST_LINE_CHARACTERS, header_name=name)
    folded = header.encode(linesep="\r\n")
    return f"{name}: {folded}"
