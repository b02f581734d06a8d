"""What a callback costs the ingress, beside a bare handler at the same pace, in turns."""

from collections.abc import Callable
from contextlib import AsyncExitStack

from callback_load import form_callback, json_callback, next_number
from peers.peer import PEERS, peer_ingress
from rows import Figure, Row, ratios
from run import AT_LEAST, Phase, Run, bare, handled, percentile, rotated
from stack import Stack, stack

KINDS: tuple[tuple[str, Callable[[int], bytes], float], ...] = (
    ("HMAC-signed JSON callback", json_callback, 2.2),
    ("10-field multipart callback", form_callback, 2.9),
)


async def measure(run: Run, *, kinds: int = len(KINDS)) -> None:
    """Add a row for each kind of callback, with what is behind it. The stores run on the load's core."""
    run.stores.pin(run.cores.load)
    async with AsyncExitStack() as opened:
        plain = await opened.enter_async_context(bare(run.cores))
        handlers = {"bare": (plain.port, plain.pid)}
        stacks: list[Stack] = []
        for tree in run.trees:
            place = await opened.enter_async_context(stack(tree, run.stores, run.cores, "ingress"))
            service = await opened.enter_async_context(place.ingress())
            stacks.append(place)
            handlers[tree.name] = (service.port, service.pid)
        peers: dict[str, tuple[int, int]] = {}
        for name in PEERS if run.with_peers else ():
            service = await opened.enter_async_context(peer_ingress(run, name))
            peers[name] = (service.port, service.pid)
        for position, (name, make, goal) in enumerate(KINDS[:kinds]):
            await _measure_kind(run, name, make, goal, handlers | ({} if position else peers), stacks)


async def _measure_kind(
    run: Run,
    name: str,
    make: Callable[[int], bytes],
    goal: float,
    handlers: dict[str, tuple[int, int]],
    stacks: list[Stack],
) -> None:
    phases: dict[str, list[Phase]] = {handler: [] for handler in handlers}
    count = max(AT_LEAST, int(run.sizes.per_second * run.sizes.seconds))
    for turn in range(run.sizes.rounds):
        for handler, (port, pid) in rotated(list(handlers.items()), turn):
            requests = [make(next_number()) for _ in range(count)]
            phases[handler].append(await handled(port, {handler: pid}, requests, run.sizes.per_second))
            for place in stacks:
                await place.purge()  # nothing takes the events in here
    costs = {handler: [phase.cost for phase in each] for handler, each in phases.items()}
    columns = [handler for handler in handlers if handler != "bare"]
    run.report.rows += [
        Row(
            f"ingress CPU per {name} ÷ a bare handler",
            f"≤ {goal}",
            goal,
            "times",
            {each: ratios(costs[each], costs["bare"]) for each in columns},
            note=f"all at {run.sizes.per_second:,.0f}/s",
        ),
        Row(f"· CPU per {name}", "", None, "µs", {each: Figure.of(costs[each]) for each in [*columns, "bare"]}),
        Row(
            f"· until the answer to a {name}, p99",
            "",
            None,
            "ms",
            {each: Figure.of([percentile(phase.answer_seconds, 0.99) for phase in phases[each]]) for each in costs},
        ),
        Row(
            f"· pace that was kept with {name}s",
            "",
            None,
            "/s",
            {each: Figure.of([phase.per_second for phase in phases[each]]) for each in costs},
        ),
    ]
