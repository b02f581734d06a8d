"""`faxhook audit` shows who did what with old and new values, filtered; pages of any length; bad input is refused."""

import asyncpg
import msgspec
from apis import faxhook


async def test_who_switched_it_off_is_one_command(environment: dict[str, str], pool: asyncpg.Pool) -> None:
    code, out, err = await faxhook(environment, "endpoints", "add", "https://127.0.0.1/hook", "--json")
    assert code == 0, err
    endpoint_id = msgspec.json.decode(out)["id"]
    assert (await faxhook(environment, "endpoints", "set", endpoint_id, "--disable", "--yes"))[0] == 0
    code, out, _ = await faxhook(environment, "audit", "--subject", endpoint_id, "--what", "endpoint.changed")
    assert code == 0
    assert "cli" in out
    assert "enabled: true → false" in " ".join(out.split())
    assert (await faxhook(environment, "audit", "--since", "yesterday", "--until", "today"))[1].strip() == (
        "no line of the audit matches"
    )


async def test_more_lines_than_a_page_are_listed_and_the_rest_is_named(
    environment: dict[str, str], pool: asyncpg.Pool
) -> None:
    assert (await faxhook(environment, "audit"))[1].strip() == "the audit is empty"
    await pool.execute("INSERT INTO audit (who, what, subject) SELECT 'a', 'b', n FROM generate_series(1, 450) AS n")
    code, out, _ = await faxhook(environment, "audit", "--json", "--limit", "430")
    page = msgspec.json.decode(out)
    assert (code, len(page["items"])) == (0, 430)
    _, out, _ = await faxhook(environment, "audit", "--json", "--after", page["next"])
    assert [each["subject"] for each in msgspec.json.decode(out)["items"]] == [str(n) for n in range(20, 0, -1)]
    assert "--after" in (await faxhook(environment, "audit", "--limit", "1"))[1]


async def test_bad_input_is_refused_with_a_sentence(environment: dict[str, str]) -> None:
    for arguments, said in (
        (("--since", "soon"), "since: `soon` is not one of"),
        (("--since", "2026-01-02", "--until", "2026-01-01"), "is not after since"),
        (("--after", "a b"), "--after: "),
        (("--who", ""), "--who: "),
    ):
        code, _, err = await faxhook(environment, "audit", *arguments)
        assert (code, said in err) == (65, True), (arguments, err)
