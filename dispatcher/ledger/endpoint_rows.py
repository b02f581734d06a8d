"""Rows of the table `endpoints` as structs, and back. Pure."""

from collections.abc import Sequence
from typing import Any, Final

from dispatcher.channels.static_headers import Headers
from dispatcher.policy.endpoint import DamagedField, Endpoint, FaxMatch
from shared.domain import Provider

COLUMNS: Final = """
endpoints.id AS endpoint_id, endpoints.scope, endpoints.direction, endpoints.match_number, endpoints.match_provider,
endpoints.match_fax_id, endpoints.match_job_id, endpoints.url, endpoints.failover_url, endpoints.format,
endpoints.sealed_tokens, endpoints.inflight, endpoints.overtaken, endpoints.enabled, endpoints.timeout_seconds,
endpoints.max_concurrent, endpoints.types, endpoints.description, endpoints.sealed_headers, endpoints.paused,
endpoints.catching_up, endpoints.removed_at, endpoints.is_gone
"""
"""What `endpoint_of` reads; for other statements that join endpoints, too."""


def endpoint_of(
    row: Any, tokens: tuple[str, ...] = (), headers: Headers = (), damaged: tuple[DamagedField, ...] = ()
) -> Endpoint:
    """Return the endpoint of a row with `COLUMNS`, its tokens and headers left sealed unless they are given."""
    return Endpoint(
        id=row["endpoint_id"],
        scope=row["scope"],
        direction=row["direction"],
        match=_match(row),
        url=row["url"],
        failover_url=row["failover_url"],
        format=row["format"],
        tokens=tokens,
        inflight=row["inflight"],
        overtaken=row["overtaken"],
        enabled=row["enabled"],
        timeout_seconds=row["timeout_seconds"],
        max_concurrent=row["max_concurrent"],
        types=tuple(row["types"]),
        headers=headers,
        description=row["description"],
        paused=row["paused"],
        catching_up=row["catching_up"],
        removed_at=row["removed_at"],
        damaged=damaged,
    )


def _match(row: Any) -> str | FaxMatch | None:
    if row["match_number"] is not None:
        return str(row["match_number"])
    if row["match_job_id"] is not None:
        return FaxMatch(job_id=row["match_job_id"])
    if row["match_fax_id"] is not None:
        return FaxMatch(provider=Provider(row["match_provider"]), fax_id=row["match_fax_id"])
    return None


def values_of(endpoint: Endpoint, sealed_tokens: Sequence[bytes], sealed_headers: bytes | None) -> Sequence[Any]:
    """Return the values of the columns that are written, in the order of `INSERT` and `UPDATE`."""
    fax = endpoint.match if isinstance(endpoint.match, FaxMatch) else FaxMatch()
    return (
        endpoint.id,
        endpoint.scope,
        endpoint.direction,
        endpoint.match if isinstance(endpoint.match, str) else None,
        fax.provider,
        fax.fax_id,
        fax.job_id,
        endpoint.url,
        endpoint.failover_url,
        endpoint.format,
        sealed_tokens,
        endpoint.inflight,
        endpoint.overtaken,
        endpoint.enabled,
        endpoint.timeout_seconds,
        endpoint.max_concurrent,
        endpoint.paused,
        list(endpoint.types),
        endpoint.description,
        sealed_headers,
    )
