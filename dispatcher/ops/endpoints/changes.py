"""Changes to endpoints, for API, console and command line: each is one transaction with its line in the audit."""

import asyncio
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from dispatcher.ledger.endpoints import EndpointStore
from dispatcher.ledger.intake import Intake
from dispatcher.ledger.parking import PauseWatch
from dispatcher.ledger.pool import Pool
from dispatcher.ops.api.audit import differences, write_audit
from dispatcher.ops.api.idempotency import Answer, Change, run_once
from dispatcher.ops.api.lookups import NoSuch
from dispatcher.ops.endpoints.bodies import Removed, RotationAction
from dispatcher.ops.endpoints.checks.duplicates import check_duplicate
from dispatcher.ops.endpoints.checks.reachable import check_reachable
from dispatcher.ops.endpoints.model import (
    GivenFields,
    apply_fields,
    new_endpoint,
    rotate_tokens,
    shown,
    token_bodies,
)
from dispatcher.ops.endpoints.reading.removal import read_left
from dispatcher.ops.endpoints.urls import BadEndpoint
from dispatcher.ops.words import counted
from dispatcher.policy.endpoint import Endpoint
from dispatcher.settings import EndpointSettings

TARGET: Final = ("url", "scope", "match", "direction", "types")
"""The fields that say which faxes an endpoint is told of, and where."""

PAUSE_SECONDS: Final = 3.0
"""Dispatchers look for changes every second, and let go of what waits in their lanes."""

PAUSE_LOOK_SECONDS: Final = 0.05


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a change.

    Attributes:
        who: As the audit names the client.
        command_id: The same id within a day changes nothing again; None: every request is another command.
        digest: Of the request, see `digest_of`; the same id with another digest is refused.
    """

    who: str
    command_id: str | None = None
    digest: bytes = b""


class EndpointChanges:
    """Adds, changes and removes endpoints, and rotates their tokens. Answers are status and body, as the API's.

    *settings* name the networks that may be reached, the proxy, and the keys that encrypt tokens.
    """

    def __init__(self, pool: Pool, store: EndpointStore, intake: Intake, settings: EndpointSettings) -> None:
        self._pool = pool
        self._store = store
        self._intake = intake
        self._seal = settings.seal()
        self._networks = settings.allowed_networks()
        self._is_proxied = settings.proxy() is not None

    async def add(self, command: Command, fields: GivenFields) -> Answer:
        """Add an endpoint; only this answer shows its tokens.

        Raises:
            BadEndpoint: Names every field that is wrong.
            Duplicate: Another endpoint gets the same faxes at the same URL.
        """
        endpoint = await self._applied(None, fields)
        added: list[Endpoint] = []

        async def change(connection: Any) -> Answer:
            if not fields.allow_duplicate:
                await check_duplicate(connection, self._store, endpoint)
            await self._store.insert(connection, endpoint)
            await self._intake.owe_written(connection, endpoint)
            await write_audit(connection, command.who, "endpoint.added", endpoint.id, _audited(None, endpoint))
            added.append(endpoint)
            return 201, shown(endpoint, tokens=True)

        return await self._made(command, change, added)

    async def change(self, command: Command, endpoint_id: UUID, fields: GivenFields) -> Answer:
        """Change the fields that are given. The audit has their old and new values as they are shown to readers.

        Another scope or match leaves faxes: `left` in the answer says which endpoints get them instead.

        Raises:
            BadEndpoint: Names every field that is wrong.
            Duplicate: Another endpoint gets the same faxes at the same URL, and this one did not before.
            NoSuch: There is no such endpoint.
        """
        after: list[Endpoint] = []
        given = list(fields.values)

        async def change(connection: Any) -> Answer:
            before = await self.existing(connection, endpoint_id, lock=True)
            endpoint = await self._applied(before, fields)
            if not fields.allow_duplicate and any(getattr(endpoint, each) != getattr(before, each) for each in TARGET):
                await check_duplicate(connection, self._store, endpoint)
            await self._store.update(connection, endpoint)
            await self._intake.owe_written(connection, endpoint)
            await write_audit(
                connection, command.who, "endpoint.changed", endpoint_id, _audited(before, endpoint, given)
            )
            after.append(endpoint)
            body = shown(endpoint, tokens="tokens" in given)
            if (endpoint.scope, endpoint.match) != (before.scope, before.match):
                body["left"] = msgspec.to_builtins(await read_left(connection, self._store, before))
            return 200, body

        answer = await self._made(command, change, after)
        if fields.values.get("paused"):
            await self._paused(endpoint_id)
        return answer

    async def pause(self, command: Command, endpoint_id: UUID) -> Answer:
        """Pause an endpoint: what it is owed waits from now on. Answers once every dispatcher attempts nothing more.

        Requests that are under way are not cut off; `under_way` says how many are left after `PAUSE_SECONDS`.

        Raises:
            NoSuch: There is no such endpoint.
        """
        status, body = await self._set_paused(command, endpoint_id, paused=True)
        return status, {**body, "under_way": await self._paused(endpoint_id)}

    async def resume(self, command: Command, endpoint_id: UUID) -> Answer:
        """Resume an endpoint: what waited is delivered in order, then what comes.

        Raises:
            NoSuch: There is no such endpoint.
        """
        return await self._set_paused(command, endpoint_id, paused=False)

    async def _set_paused(self, command: Command, endpoint_id: UUID, *, paused: bool) -> Answer:
        async def change(connection: Any) -> Answer:
            before = await self.existing(connection, endpoint_id, lock=True)
            if before.paused != paused:
                after = msgspec.structs.replace(before, paused=paused)
                await self._store.update(connection, after)
                what = "endpoint.paused" if paused else "endpoint.resumed"
                await write_audit(connection, command.who, what, endpoint_id, _audited(before, after, ["paused"]))
            return 200, shown(await self.existing(connection, endpoint_id))

        return await self._once(command, change)

    async def _paused(self, endpoint_id: UUID) -> int:
        """Wait until a pause is in force, at most `PAUSE_SECONDS`; return how many deliveries are held even so."""
        watch, until = PauseWatch(self._pool, endpoint_id), time.monotonic() + PAUSE_SECONDS
        while True:
            held, is_settled = await watch.look()
            if (is_settled and not held) or time.monotonic() >= until:
                return held
            await asyncio.sleep(PAUSE_LOOK_SECONDS)

    async def remove(self, command: Command, endpoint_id: UUID) -> Answer:
        """Remove an endpoint; its history stays, what it was still owed becomes dead letters when due.

        Raises:
            NoSuch: There is no such endpoint.
        """

        async def change(connection: Any) -> Answer:
            before = await self.existing(connection, endpoint_id, lock=True)
            await self._store.remove(connection, endpoint_id)
            await write_audit(connection, command.who, "endpoint.removed", endpoint_id, _audited(before, None))
            return 200, msgspec.to_builtins(Removed(id=endpoint_id))

        return await self._once(command, change)

    async def rotate(
        self, command: Command, endpoint_id: UUID, action: RotationAction, token: str | None = None
    ) -> Answer:
        """Rotate tokens, see `rotate_tokens`; the answer shows the one that was added.

        Raises:
            BadEndpoint: *token* cannot sign, or there is nothing to promote or drop.
            NoSuch: There is no such endpoint.
        """

        async def change(connection: Any) -> Answer:
            before = await self.existing(connection, endpoint_id, lock=True)
            dates = await self._store.token_dates(connection, endpoint_id)
            endpoint = rotate_tokens(before, dates, action, token)
            if endpoint == before:  # the step was taken already
                return 200, shown(endpoint)
            await self._store.update(connection, endpoint)
            now = await self._store.token_dates(connection, endpoint_id)
            details = _audited(before, endpoint, dates=(dates, now))
            await write_audit(connection, command.who, f"endpoint.token_{action}", endpoint_id, details)
            return 200, {**shown(endpoint), **({"token": endpoint.tokens[-1]} if action == "add" else {})}

        return await self._once(command, change)

    async def existing(self, connection: Any, endpoint_id: UUID, *, lock: bool = False) -> Endpoint:
        """Return an endpoint that can be changed.

        Raises:
            NoSuch: There is no such endpoint, or it was removed.
        """
        endpoint = await self._store.get(connection, endpoint_id, lock=lock)
        if endpoint is None:
            await self.known(connection, endpoint_id)
            raise NoSuch("endpoint", endpoint_id, " any more: it was removed; only its history can be read")
        return endpoint

    async def known(self, connection: Any, endpoint_id: UUID) -> Endpoint:
        """Return an endpoint, also one that was removed: it stays readable with its history.

        Raises:
            NoSuch: There is no such endpoint.
        """
        found = await self._store.of_ids(connection, [endpoint_id])
        if not found:
            raise NoSuch("endpoint", endpoint_id)
        return found[0]

    async def _made(self, command: Command, change: Change, made: Sequence[Endpoint]) -> Answer:
        answer = await self._once(command, change)
        for endpoint in made:  # none if the command was repeated
            await self._intake.owe_registered(endpoint)
        return answer

    async def _once(self, command: Command, change: Change) -> Answer:
        return await run_once(self._pool, self._seal, command.command_id, command.digest, change)

    async def _applied(self, before: Endpoint | None, fields: GivenFields) -> Endpoint:
        """Return *before* with *fields*, or a new endpoint, URLs that change being reachable."""
        wrong: dict[str, str] = {}
        try:
            endpoint = new_endpoint(fields) if before is None else apply_fields(before, fields)
        except BadEndpoint as error:
            wrong |= error.wrong
        for field in ("url", "failover_url"):
            url = fields.values.get(field)
            if url and field not in wrong and (before is None or url != getattr(before, field)):
                try:
                    await check_reachable(field, url, self._networks, proxied=self._is_proxied)
                except BadEndpoint as error:
                    wrong |= error.wrong
        if wrong:
            raise BadEndpoint.of(wrong)
        return endpoint


def _audited(
    before: Endpoint | None,
    after: Endpoint | None,
    fields: Sequence[str] = (),
    dates: tuple[Sequence[datetime], Sequence[datetime]] | None = None,
) -> dict[str, Any]:
    """Return the details of a line in the audit: the fields that were given, and what changed as readers see it.

    Of tokens their number is shown, and which one is the first if *dates* say when each was added, before and after;
    of headers their names. So a token or header may get another value and look as it did: `replaced` names it.
    """
    both = zip((before, after), dates or ([], []), strict=True)
    old, new = (None if each is None else _seen(each, added) for each, added in both)
    replaced = [] if before is None or after is None else _replaced(before, after)
    return {"fields": list(fields), **differences(old, new), **({"replaced": replaced} if replaced else {})}


def _seen(endpoint: Endpoint, dates: Sequence[datetime]) -> dict[str, Any]:
    tokens = token_bodies(endpoint, dates) if dates else ()
    first = {"first_token": f"{tokens[0].shown}, added {tokens[0].added_at:%Y-%m-%d %H:%M:%S} UTC"} if tokens else {}
    return {**shown(endpoint), "tokens": len(endpoint.tokens), **first}


def _replaced(before: Endpoint, after: Endpoint) -> list[str]:
    """Return what has another value and looks as it did: tokens that are as many, headers of the same names."""
    known = dict(before.headers)
    headers = [f"header {name}" for name, value in after.headers if name in known and known[name] != value]
    added = set(after.tokens) - set(before.tokens)
    tokens = counted(len(added), "token")
    return [*([tokens] if added and len(before.tokens) == len(after.tokens) else []), *headers]
