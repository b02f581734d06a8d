"""The private RabbitMQ and PostgreSQL come up, go down and come back with their data, and touch nothing else."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import aio_pika
import asyncpg
import pytest
from local_stores import NO_BROKER, ours, pids, read_env, run, silent

from deploy.services import control
from deploy.services.postgres import Postgres
from deploy.services.processes import LocalError, Unavailable, is_alive, wait_until
from deploy.services.state import LOCK_NAME, load


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    data = tmp_path_factory.mktemp("local") / "it's $HOME & more"
    try:
        control.up(data, environ={}, say=silent)
    except Unavailable as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    yield data
    control.reset(data, say=silent)
    assert not data.exists()


@pytest.fixture
def postgres_only(tmp_path):
    data = tmp_path / ".local"
    yield data
    control.reset(data, say=silent)


async def test_what_the_env_file_names_answers(pair):
    control.up(pair, environ={}, say=silent)
    env = read_env(pair)
    assert set(env) == {"AMQP_URL", "DATABASE_URL", "MEDIA_URL", "RABBITMQ_API_URL"}
    database = await asyncpg.connect(env["DATABASE_URL"])
    assert await database.fetchval("SHOW fsync") == "on"
    await database.close()
    broker = await aio_pika.connect(env["AMQP_URL"])
    await broker.close()
    assert (pair / "env").stat().st_mode & 0o777 == 0o600


def test_the_env_file_means_the_same_to_a_shell(pair):
    said = subprocess.run(
        ["sh", "-c", 'set -a; . "$1"; env', "sh", pair / "env"], env={}, capture_output=True, text=True, check=True
    ).stdout
    assert set((pair / "env").read_text().splitlines()) <= set(said.splitlines())


async def test_a_wrong_password_is_refused(pair):
    control.up(pair, environ={}, say=silent)
    env = read_env(pair)
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(env["DATABASE_URL"].replace("postgres:", "postgres:x"))
    with pytest.raises(aio_pika.exceptions.ProbableAuthenticationError):
        await aio_pika.connect(env["AMQP_URL"].replace("faxhook:", "faxhook:x"))


def test_a_second_up_changes_nothing(pair):
    services = control.up(pair, environ={}, say=silent)
    before, env = pids(pair), (pair / "env").read_text()
    # A shell that sourced the env file gives us our own URLs: they are not another's.
    assert control.up(pair, environ=read_env(pair), say=silent) == services
    assert pids(pair) == before
    assert (pair / "env").read_text() == env


async def test_vhosts_come_and_go(pair):
    services = control.up(pair, environ={}, say=silent)
    url = services.add_vhost("test/1")
    await (await aio_pika.connect(url)).close()
    services.add_vhost("test/1")
    services.delete_vhost("test/1")
    services.delete_vhost("test/1")
    with pytest.raises(aio_pika.exceptions.AMQPError):
        await aio_pika.connect(url)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_services_hold_no_lock(pair):
    control.up(pair, environ={}, say=silent)
    for process in ours(pair).values():
        held = [fd.readlink().name for fd in Path(f"/proc/{process.pid}/fd").iterdir()]
        assert LOCK_NAME not in held, process


async def test_what_was_killed_is_found_dead_and_comes_back_with_its_data(pair):
    services = control.up(pair, environ={}, say=silent)
    database = await asyncpg.connect(services.database_url)
    await database.execute("CREATE TABLE kept (word text); INSERT INTO kept VALUES ('still here')")
    await database.close()
    broker = await aio_pika.connect(services.amqp_url)
    channel = await broker.channel()
    await channel.declare_queue("kept", durable=True, arguments={"x-queue-type": "quorum"})
    message = aio_pika.Message(b"still here", delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
    await channel.default_exchange.publish(message, routing_key="kept")
    await broker.close()
    # RabbitMQ writes down which queue is which file about 1 s after it confirmed the declaration. Killed before that,
    # it makes the queue again: empty, without a leader, for ever.
    (names,) = pair.glob("rabbitmq/mnesia/*/quorum/*/names.dets")
    assert wait_until(lambda: b"faxhook_kept" in names.read_bytes(), 10)

    before = pids(pair)
    for pid in before.values():
        os.kill(pid, signal.SIGKILL)
    assert wait_until(lambda: not any(pids(pair).values()), 10)
    assert {row.condition for row in control.status(pair, environ={})} == {"dead"}

    assert control.up(pair, environ={}, say=silent) == services
    assert not set(pids(pair).values()) & set(before.values())
    database = await asyncpg.connect(services.database_url)
    assert await database.fetchval("SELECT word FROM kept") == "still here"
    await database.close()
    broker = await aio_pika.connect(services.amqp_url)
    queue = await (await broker.channel()).get_queue("kept")
    assert (await queue.get(timeout=10)).body == b"still here"
    await broker.close()


def test_down_leaves_no_process(pair):
    control.up(pair, environ={}, say=silent)
    before = ours(pair)
    names = {Path(process.argv[0]).name.split()[0] for process in before.values()}
    assert {"beam.smp", "erl_child_setup"} <= names
    assert run("status", "--data", pair).returncode == 0

    control.down(pair, say=silent)

    assert not [process for process in before.values() if is_alive(process)]
    assert not ours(pair)
    answer = run("status", "--data", pair)
    assert answer.returncode == 3
    assert answer.stdout.count("not started") == 2


def test_a_port_that_another_program_took_is_given_up(postgres_only):
    first = control.up(postgres_only, environ=NO_BROKER, say=silent)
    control.down(postgres_only, say=silent)
    port = load(postgres_only).port("postgres")
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        second = control.up(postgres_only, environ=NO_BROKER, say=silent)
    assert second.database_url != first.database_url
    assert read_env(postgres_only)["DATABASE_URL"] == second.database_url


def test_a_stale_pid_file_with_a_living_pid_does_not_hinder(postgres_only):
    control.up(postgres_only, environ=NO_BROKER, say=silent)
    postgres = Postgres(load(postgres_only))
    os.kill(postgres.pid(), signal.SIGKILL)
    assert wait_until(lambda: postgres.pid() is None, 10)
    path = postgres.home / "pg" / "postmaster.pid"
    lines = path.read_text().splitlines()
    path.write_text("\n".join([str(os.getpid()), *lines[1:]]))
    control.up(postgres_only, environ=NO_BROKER, say=silent)


def test_a_start_that_fails_shows_the_log_and_leaves_nothing(postgres_only):
    control.up(postgres_only, environ=NO_BROKER, say=silent)
    control.down(postgres_only, say=silent)
    home = Postgres(load(postgres_only)).home
    with (home / "pg" / "postgresql.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    answer = run("up", "--data", postgres_only, environ=NO_BROKER)
    assert answer.returncode == 70
    assert "no_such_setting" in answer.stderr
    assert str(postgres_only / "log" / "postgres.log") in answer.stderr
    assert not ours(postgres_only)


def test_a_server_whose_data_folder_was_deleted_is_ended_and_made_anew(postgres_only):
    first = control.up(postgres_only, environ=NO_BROKER, say=silent)
    shutil.rmtree(postgres_only)
    second = control.up(postgres_only, environ=NO_BROKER, say=silent)
    assert first.database_url != second.database_url
    assert Postgres(load(postgres_only)).answers()
    assert sum(process.runs("postgres") for process in ours(postgres_only).values()) == 1


def test_reset_removes_what_up_made_and_nothing_else(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "mine").write_text("precious")
    control.up(data, environ=NO_BROKER, say=silent)
    home = Postgres(load(data)).home
    assert home.exists()
    control.reset(data, say=silent)
    assert not home.exists()
    assert [path.name for path in data.iterdir()] == ["mine"]


def test_up_does_not_take_a_folder_of_another_program(tmp_path):
    (tmp_path / "log").mkdir()
    with pytest.raises(LocalError, match=r"was not made by local\.py"):
        control.up(tmp_path, environ=NO_BROKER, say=silent)
    control.reset(tmp_path, say=silent)
    assert (tmp_path / "log").exists()
