"""The accounts are the same over HTTP and on the command line; what is not known is never a 0."""

from datetime import timedelta

import asyncpg
import msgspec
from apis import Api, faxhook
from seeded_accounts import seed_accounts


async def test_the_api_gives_the_accounts_in_pages_and_names_what_is_missing(api: Api, pool: asyncpg.Pool) -> None:
    latest = await seed_accounts(pool, days_ago=2)  # the running dispatcher counts later days anew
    items, after = [], ""
    while after is not None:
        status, page = await api.ask("GET", f"/v1/accounts?limit=2{after and f'&after={after}'}")
        assert status == 200
        items += page["items"]
        after = page["next"]
    days = [str(latest - timedelta(days=days)) for days in range(3)]
    assert [(each["day"], each["provider"]) for each in items] == [
        (day, provider) for day in days for provider in ("phaxio", "sinch", "telnyx")
    ]
    phaxio, sinch, telnyx = items[:3]
    assert (phaxio["theirs"], phaxio["ours"], phaxio["missing"], phaxio["is_wrong"]) == (1_200, 1_200, 0, False)
    assert (sinch["theirs"], sinch["ours"], sinch["missing"], sinch["is_wrong"]) == (None, 7, None, True)
    assert sinch["sentence"].endswith("is not known: sinch refuses the key (401)")
    assert (telnyx["missing"], telnyx["verdict"], telnyx["is_wrong"]) == (1, "missing", True)
    for path, count in ((f"day={latest}", 3), ("provider=sinch", 3), (f"since={latest}", 3), (f"until={latest}", 6)):
        assert len((await api.ask("GET", f"/v1/accounts?{path}"))[1]["items"]) == count, path
    status, one = await api.ask("GET", f"/v1/accounts/telnyx/{latest}")
    assert (status, one["missing_faxes"]) == (200, ["lost-\x07-<b>"])
    for path, status in (
        ("/nobody/today", 404), ("/telnyx/2020-01-01", 404), ("/telnyx/soon", 422), ("?day=soon", 422), ("?after=x", 422),
        ("?provider=asterix", 422), ("?since=today&until=yesterday", 422),
    ):  # fmt: skip
        assert (await api.ask("GET", f"/v1/accounts{path}"))[0] == status, path


async def test_the_command_line_ends_with_1_where_a_person_must_look(
    environment: dict[str, str], pool: asyncpg.Pool
) -> None:
    yesterday = await seed_accounts(pool)
    code, out, err = await faxhook(environment, "account", "--day", "yesterday")
    assert code == 1, err
    said = " ".join(out.split())
    assert f"{yesterday} telnyx 1,201 1,200 3 1 1,200 0 0" in said
    assert f"{yesterday} sinch ? 7 ? ? 7 0 0" in said
    assert "missing of telnyx: lost-\\x07-<b>" in out
    assert (await faxhook(environment, "account", "--day", str(yesterday), "--provider", "phaxio"))[0] == 0
    code, out, _ = await faxhook(environment, "account", "--day", "yesterday", "--json")
    assert [each["missing_faxes"] for each in msgspec.json.decode(out)["items"]] == [[], [], ["lost-\x07-<b>"]]
    code, out, _ = await faxhook(environment, "account", "--json")
    assert (code, len(msgspec.json.decode(out)["items"])) == (1, 9)
    code, out, _ = await faxhook(environment, "account", "--day", "2020-01-01")
    assert (code, "there is no account of 2020-01-01 yet" in out) == (0, True)
    for arguments in (("--day", "soon"), ("--provider", "nobody"), ("--day", "")):
        assert (await faxhook(environment, "account", *arguments))[0] == 65, arguments
