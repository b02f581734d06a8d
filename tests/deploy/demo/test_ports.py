"""`make run` takes free ports, refuses before it starts anything what cannot be had, and does not mind TIME_WAIT."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.compose.up import PORTS
from deploy.demo import ports
from deploy.demo.ports import check_ports, chosen_ports, given_ports
from deploy.services.processes import Unavailable, free_port
from shared.errors import Misconfigured

REPOSITORY = Path(__file__).parents[3]


def silent(_line):
    pass


def test_a_port_that_is_taken_gives_way_to_a_free_one_unless_it_was_asked_for(monkeypatch):
    said = []
    port = free_port()
    with socket.create_server(("127.0.0.1", port)):
        monkeypatch.setitem(ports.DEFAULT_PORTS, "INGRESS_PORT", port)
        other = chosen_ports({}, said.append)["INGRESS_PORT"]
        assert other != port
        assert str(port) in said[0]
        assert str(other) in said[0]
        with pytest.raises(Unavailable, match=f"INGRESS_PORT={port}"):
            chosen_ports({"INGRESS_PORT": str(port)}, said.append)
    said.clear()
    assert chosen_ports({}, said.append)["INGRESS_PORT"] == port
    assert chosen_ports({"INGRESS_PORT": str(port)}, said.append)["INGRESS_PORT"] == port
    assert chosen_ports({"INGRESS_PORT": "0"}, said.append)["INGRESS_PORT"] != port
    assert not any(line.startswith(f"Port {port} ") for line in said)


@pytest.mark.parametrize("variable", ["INGRESS_PORT", "OPS_PORT"])
@pytest.mark.parametrize("asked", ["x", "-1", "65536", "80.5", "²"])
def test_what_is_no_port_is_a_sentence(variable, asked):
    with pytest.raises(Misconfigured, match=f"{variable} is wrong: `{asked}`"):
        check_ports({variable: asked})


def test_the_same_port_twice_names_both_variables():
    port = str(free_port())
    with pytest.raises(Misconfigured, match=f"INGRESS_PORT and OPS_PORT are both {port}"):
        check_ports({"INGRESS_PORT": port, "OPS_PORT": port})
    with pytest.raises(Misconfigured, match="INGRESS_PORT and GRAFANA_PORT are both 3000"):
        given_ports({"INGRESS_PORT": "3000"}, PORTS)
    check_ports({"INGRESS_PORT": "0", "OPS_PORT": "0"})


def test_a_default_port_that_was_asked_for_by_the_other_variable_gives_way():
    for variable, other in (("INGRESS_PORT", "OPS_PORT"), ("OPS_PORT", "INGRESS_PORT")):
        port = ports.DEFAULT_PORTS[other]
        if not ports.is_free(port):
            continue
        chosen = chosen_ports({variable: str(port)}, silent)
        assert chosen[variable] == port
        assert chosen[other] not in {0, port}


def test_a_port_whose_last_connections_are_in_time_wait_is_free():
    port = free_port()
    with socket.create_server(("127.0.0.1", port)) as server:
        client = socket.create_connection(("127.0.0.1", port))
        accepted, _ = server.accept()
        accepted.close()  # the side that closes first is the one in TIME_WAIT
        assert client.recv(1) == b""
        client.close()
    with socket.socket() as strict, pytest.raises(OSError, match="in use"):
        strict.bind(("127.0.0.1", port))
    check_ports({"OPS_PORT": str(port)})


def test_the_check_says_a_sentence_before_any_library_is_installed():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for environ, code in (({"OPS_PORT": port}, 69), ({"OPS_PORT": port, "INGRESS_PORT": port}, 78), ({}, 0)):
            answer = subprocess.run(
                [sys.executable, "-I", "-S", "deploy/demo/ports.py"],
                cwd=REPOSITORY,
                env={"PATH": os.environ["PATH"], **environ},
                capture_output=True,
                text=True,
                check=False,
            )
            assert answer.returncode == code, answer.stderr
            assert len(answer.stderr.splitlines()) == (code != 0)
