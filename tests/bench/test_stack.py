"""The bench's own stores take no turns of their own at moments that are measured."""

import pytest
from stack import private_stores

from deploy.services.rabbitmq import find_installation


@pytest.mark.skipif(find_installation() is None, reason="its broker runs in a container, whose Erlang is not reached")
def test_a_broker_of_ours_checks_its_port_mapper_until_it_is_told_to_leave_it_alone() -> None:
    with private_stores() as stores:
        assert stores.own is not None
        status = "{status, _, _, [_, State | _]} = sys:get_status(rabbit_epmd_monitor), State."
        assert stores.own.rabbitmqctl("-q", "eval", status).strip() == "running"
        stores.leave_epmd_alone()
        assert stores.own.rabbitmqctl("-q", "eval", status).strip() == "suspended"
