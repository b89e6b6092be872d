"""Who holds a port."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from gpubox.errors import PortInUseError, ServerError
from gpubox.port_holder import listening_inodes, port_holder, require_free_port

if TYPE_CHECKING:
    from pathlib import Path

TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 7001 1 0000 100 0 0 10 0
   1: 00000000:1F41 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 7002 1 0000 100 0 0 10 0
   2: 0100007F:1F90 0100007F:D2A4 01 00000000:00000000 00:00000000 00000000     0        0 7003 1 0000 20 4 30 10 -1
   3: 0100007F:1F90
"""


def test_only_listening_sockets_on_the_port_count() -> None:
    assert listening_inodes(TABLE, 8080) == {"7001"}
    assert listening_inodes(TABLE, 8001) == {"7002"}
    assert listening_inodes(TABLE, 22) == set()
    assert listening_inodes("", 22) == set()


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A procfs in which process 42 listens on port 8080 and process 7 on nothing."""
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "tcp").write_text(TABLE)
    for pid, target in ((7, "/dev/null"), (42, "socket:[7001]")):
        (tmp_path / str(pid) / "fd").mkdir(parents=True)
        (tmp_path / str(pid) / "fd" / "3").symlink_to(target)
    (tmp_path / "42" / "comm").write_text("llama-server\n")
    return tmp_path


def test_the_holder_is_named_with_its_process_id(proc: Path) -> None:
    assert port_holder(8080, proc=proc) == "llama-server (pid 42)"


def test_a_process_without_a_name_has_at_least_a_process_id(proc: Path) -> None:
    (proc / "42" / "comm").unlink()
    assert port_holder(8080, proc=proc) == "a process (pid 42)"


def test_a_holder_whose_descriptors_we_may_not_see_stays_unnamed(proc: Path) -> None:
    (proc / "42" / "fd" / "3").unlink()
    (proc / "42" / "fd").rmdir()
    assert port_holder(8080, proc=proc) == ""


def test_a_taken_port_is_refused_with_the_process_that_holds_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortInUseError) as caught:
            require_free_port("127.0.0.1", port)
    assert str(caught.value).startswith(f"127.0.0.1:{port}: the port is in use by ")
    assert str(caught.value).endswith(f"(pid {os.getpid()}); stop that server or choose another port")


def test_a_taken_port_of_an_unknown_holder_is_refused_too(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortInUseError) as caught:
            require_free_port("127.0.0.1", port, proc=tmp_path)
    assert str(caught.value) == f"127.0.0.1:{port}: the port is in use; stop that server or choose another port"


def test_a_port_is_free_again_as_soon_as_its_listener_is_closed(port: int) -> None:
    with (
        socket.create_server(("127.0.0.1", port)) as listener,
        socket.create_connection(("127.0.0.1", port)),
    ):
        listener.accept()[0].close()  # leaves a connection in TIME_WAIT behind
    require_free_port("127.0.0.1", port)


@pytest.mark.parametrize("option", [socket.SO_REUSEADDR, socket.SO_REUSEPORT])
def test_connections_that_an_earlier_server_closed_do_not_hold_the_port(option: int) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, option, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = listener.accept()
            accepted.close()  # the server closes first, so its side goes into TIME_WAIT
            assert client.recv(1) == b""
    require_free_port("127.0.0.1", port)


@pytest.mark.parametrize("option", [socket.SO_REUSEADDR, socket.SO_REUSEPORT])
def test_a_listener_holds_the_port_whatever_its_options(option: int) -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, option, 1)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        with pytest.raises(PortInUseError):
            require_free_port("127.0.0.1", listener.getsockname()[1])


def test_an_address_of_another_machine_is_refused(port: int) -> None:
    with pytest.raises(ServerError) as caught:
        require_free_port("203.0.113.7", port)
    assert str(caught.value) == (
        f"203.0.113.7:{port}: can't serve here: Cannot assign requested address; "
        "choose an address of this machine and a port above 1023"
    )
