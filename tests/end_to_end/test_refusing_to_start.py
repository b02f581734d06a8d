"""Settings that are missing or wrong, and stores that are not prepared: exit 78 and a sentence that says what to do."""

import pytest
from processes import running, start
from running_stack import RunningStack
from stores import drop, with_database


async def ended_with(module: str, environment: dict[str, str]) -> tuple[int, str]:
    service = await start(module, environment)
    try:
        return await service.ended(), service.stderr
    finally:
        if service.process.returncode is None:  # it started after all
            service.kill()
            await service.ended()


@pytest.mark.parametrize("variable", ["AMQP_URL", "MEDIA_URL"])
async def test_an_ingress_without_a_required_variable_names_it_and_exits_78(
    running_stack: RunningStack, variable: str
) -> None:
    environment = {name: value for name, value in running_stack.ingress.items() if name != variable}
    code, said = await ended_with("ingress", environment)
    assert code == 78, said
    assert said.startswith(f"ingress: {variable} is not set: ")
    assert "Traceback" not in said


@pytest.mark.parametrize("variable", ["AMQP_URL", "DATABASE_URL", "MEDIA_URL"])
async def test_a_dispatcher_without_a_required_variable_names_it_and_exits_78(
    running_stack: RunningStack, variable: str
) -> None:
    environment = {name: value for name, value in running_stack.dispatcher.items() if name != variable}
    code, said = await ended_with("dispatcher", environment)
    assert code == 78, said
    assert said.startswith(f"dispatcher: {variable} is not set: ")


@pytest.mark.parametrize(
    ("module", "variable", "value"),
    [
        ("ingress", "INGRESS_PORT", "http"),
        ("ingress", "MAX_BODY_BYTES", "0"),
        ("ingress", "PUBLIC_URL", ""),
        ("ingress", "SINCH_INBOUND_BASIC_PASS", "one,two"),
        ("ingress", "TELNYX_PUBLIC_KEY", "not a key"),
        ("ingress", "AMQP_URL", "http://localhost"),
        ("ingress", "MEDIA_URL", "nowhere"),
        ("dispatcher", "BACKOFF", "5x"),
        ("dispatcher", "EGRESS_ALLOW_NETWORKS", "10.0.0.1/8"),
        ("dispatcher", "DATABASE_URL", "nonsense"),
        ("dispatcher", "LOG_LEVEL", "loud"),
    ],
)
async def test_a_wrong_value_names_the_variable_shows_no_secret_and_exits_78(
    running_stack: RunningStack, module: str, variable: str, value: str
) -> None:
    environment = {**getattr(running_stack, module), variable: value}
    code, said = await ended_with(module, environment)
    assert code == 78, said
    assert variable in said
    assert "Traceback" not in said
    assert running_stack.amqp_url not in said


async def test_a_ledger_that_was_not_migrated_says_which_command_does_it(running_stack: RunningStack) -> None:
    name = "faxhook_test_empty"
    await drop(running_stack.database_url, name)
    await running_stack.pool.execute(f'CREATE DATABASE "{name}"')
    try:
        environment = {**running_stack.dispatcher, "DATABASE_URL": with_database(running_stack.database_url, name)}
        code, said = await ended_with("dispatcher", environment)
    finally:
        await drop(running_stack.database_url, name)
    assert code == 78, said
    assert "faxhook migrate" in said


async def test_a_queue_that_is_missing_is_named_with_the_command_that_makes_it(running_stack: RunningStack) -> None:
    environment = {**running_stack.dispatcher, "BACKOFF": "7m"}
    code, said = await ended_with("dispatcher", environment)
    assert code == 78, said
    assert "`retry.7m`" in said
    assert "faxhook topology" in said


@pytest.mark.parametrize(
    ("module", "user", "words"),
    [
        ("ingress", "dispatcher", "may not write to the exchange `fax.in`"),
        ("ingress", "monitor", "may not write to the exchange `fax.in`"),
        ("dispatcher", "ingress", "may not write to the exchange `fax.work`"),
        ("dispatcher", "ops", "may not write to the exchange `fax.retry`"),
    ],
)
async def test_a_user_with_too_few_rights_is_told_which_one_is_missing(
    running_stack: RunningStack, broker_users: dict[str, str], module: str, user: str, words: str
) -> None:
    code, said = await ended_with(module, {**getattr(running_stack, module), "AMQP_URL": broker_users[user]})
    assert code == 78, said
    assert words in said
    assert "deploy/rabbitmq/definitions.json" in said


@pytest.mark.parametrize(("module", "prefix"), [("ingress", "INGRESS"), ("dispatcher", "OPS")])
async def test_a_port_that_is_taken_is_one_sentence_that_names_the_variable(
    running_stack: RunningStack, module: str, prefix: str
) -> None:
    port = running_stack.receiver.url.rpartition(":")[2].partition("/")[0]
    code, said = await ended_with(module, {**getattr(running_stack, module), f"{prefix}_PORT": port})
    assert code == 78, said
    assert said.startswith(f"{module}: {prefix}_PORT={port}: the port is taken on 127.0.0.1")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(("module", "prefix"), [("ingress", "INGRESS"), ("dispatcher", "OPS")])
@pytest.mark.parametrize("host", ["192.0.2.1", "no host", "h" * 70])
async def test_a_host_that_is_not_of_this_machine_is_one_sentence(
    running_stack: RunningStack, module: str, prefix: str, host: str
) -> None:
    code, said = await ended_with(module, {**getattr(running_stack, module), f"{prefix}_HOST": host})
    assert code == 78, said
    assert said.startswith(f"{module}: {prefix}_HOST is wrong: `{host}`")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize(
    ("first", "second", "prefix"), [("ingress", "dispatcher", "OPS"), ("dispatcher", "ingress", "INGRESS")]
)
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", ""])  # noqa: S104 - the default of containers
async def test_two_services_on_one_port_are_one_sentence_of_the_second_and_the_first_goes_on(
    running_stack: RunningStack, unused_tcp_port: int, first: str, second: str, prefix: str, host: str
) -> None:
    ports = {"INGRESS_PORT": str(unused_tcp_port), "OPS_PORT": str(unused_tcp_port)}
    hosts = {"INGRESS_HOST": host, "OPS_HOST": host} if host else {}
    environments = {each: {**getattr(running_stack, each), **ports, **hosts} for each in (first, second)}
    if not host:  # as they are without a setting
        for environment in environments.values():
            environment.pop("INGRESS_HOST", None)
            environment.pop("OPS_HOST", None)
    async with running(first, environments[first]) as serving:
        code, said = await ended_with(second, environments[second])
        assert code == 78, said
        assert said.startswith(f"{second}: {prefix}_PORT={unused_tcp_port}: the port is taken")
        assert "INGRESS_PORT and OPS_PORT must differ" in said
        assert len(said.splitlines()) == 1
        assert await serving.is_ready()
