"""`faxhook tokens` creates, lists and revokes; its text is shown once; bad input is refused with a sentence."""

import asyncpg
import msgspec
from apis import faxhook


async def test_a_token_is_created_listed_and_revoked(environment: dict[str, str], pool: asyncpg.Pool) -> None:
    code, out, _ = await faxhook(environment, "tokens", "add", "billing", "--right", "operate", "--expires", "90d")
    assert code == 0
    text = out.splitlines()[0].strip()
    assert text.startswith("fh_")
    assert "valid until" in out
    code, out, _ = await faxhook(environment, "tokens", "list")
    assert (code, text in out, text[-4:] in out, "billing" in out) == (0, False, True, True)
    code, out, _ = await faxhook(environment, "tokens", "revoke", "billing")
    assert (code, out.strip()) == (0, "billing is revoked")
    code, out, _ = await faxhook(environment, "tokens", "list", "--revoked", "--json")
    assert msgspec.json.decode(out)["items"][0]["revoked_at"] is not None
    rows = await pool.fetch("SELECT who, what, origin FROM audit ORDER BY id")
    assert [(row["who"], row["what"]) for row in rows] == [("cli", "token.created"), ("cli", "token.revoked")]
    assert all("@" in row["origin"] for row in rows)


async def test_bad_input_is_refused_and_nothing_is_created(environment: dict[str, str], pool: asyncpg.Pool) -> None:
    for arguments, said in (
        (("add", "a", "--right", "root"), "known are read, documents, operate, admin"),
        (("add", "a", "--expires", "soon"), "expires: `soon` is not one of"),
        (("add", "a", "--expires", "2020-01-01"), "expires_at: is in the past"),
        (("add", "a", "--expires", "999999w"), "too far ahead"),
        (("add", "a (token)"), "name: "),
        (("revoke", "none"), "there is no access token `none`"),
    ):
        code, _, err = await faxhook(environment, "tokens", *arguments)
        assert (code, said in err) == (65, True), (arguments, err)
    assert await pool.fetchval("SELECT count(*) FROM access_tokens") == 0
