"""definitions.json is what the code declares; imported on a blank vhost it is all that the services need."""

from urllib.parse import quote

import pytest
from broker_users import users_of

from deploy.rabbitmq.definitions import PATH, definitions, text
from deploy.services.broker import call_api, create_vhost, delete_vhost, vhost_url
from shared.backoff import DEFAULT_BACKOFF, parse_backoff
from shared.broker import declare, topology

TABLE = topology(parse_backoff(DEFAULT_BACKOFF))


def test_the_file_is_current():
    assert PATH.read_text(encoding="utf-8") == text(), "run `make docs`"


def test_no_user_can_log_in_before_it_got_a_password():
    assert {user["password_hash"] for user in definitions()["users"]} == {""}


@pytest.fixture
def blank_vhost(service_stores, worker_id):
    """Yield the management API and the URL of a vhost that holds nothing."""
    if service_stores.api_url is None:
        pytest.skip("the stores are given without RABBITMQ_API_URL")
    name = f"definitions-{worker_id}"
    create_vhost(service_stores.api_url, name)
    yield service_stores.api_url, vhost_url(service_stores.amqp_url, name)
    delete_vhost(service_stores.api_url, name)


async def test_imported_on_a_blank_vhost_it_is_what_the_topology_declares(blank_vhost, worker_id):
    api_url, amqp_url = blank_vhost
    name = f"definitions-{worker_id}"
    imported = definitions(vhost=name)
    imported |= {"vhosts": [], "users": [], "permissions": []}  # those of other tests stay as they are
    call_api(api_url, "POST", "/api/definitions", imported)
    bindings = call_api(api_url, "GET", f"/api/bindings/{quote(name, safe='')}")
    found = {(each["source"], each["routing_key"], each["destination"]) for each in bindings if each["source"]}
    assert found == {(queue.exchange, queue.key, queue.name) for queue in TABLE.queues}
    await declare(amqp_url, TABLE)  # refused if any argument differed


async def test_the_owner_s_rights_are_enough_to_declare_everything_on_a_blank_vhost(blank_vhost):
    api_url, amqp_url = blank_vhost
    with users_of(amqp_url, api_url) as urls:
        await declare(urls["owner"], TABLE)
