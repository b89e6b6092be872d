"""What boxes say of themselves, as facts of pyinfra's API, over the connections that all else of gpubox uses.

The connector takes its settings from the Ansible inventory and ~/.ssh/config, where pyinfra's own knows only some of them.
pyinfra's greenlets run in parallel only in a process whose standard library is patched, so whoever asks several boxes at once
uses a thread for each.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

from pyinfra.api.config import Config
from pyinfra.api.facts import FactBase
from pyinfra.api.host import Host
from pyinfra.api.inventory import Inventory
from pyinfra.api.state import State
from pyinfra.connectors.base import BaseConnector
from pyinfra.connectors.util import CommandOutput, OutputLine

from gpubox.box_answer import check_status
from gpubox.box_connection import BoxConnection
from gpubox.switch_program.launch import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pyinfra.api.command import StringCommand

_VARIABLES = "gpubox_variables"


class _Boxes(Inventory):
    """Hosts that are added one by one, with their connector: what pyinfra could connect with else is not looked for."""

    def make_hosts_and_groups(self, *_: object) -> None:
        """Begin without hosts."""
        self.hosts: dict[str, Host] = {}


class BoxState(FactBase[Any]):
    """What the program on a box says of it: a JSON value, or text where it printed none; None where it printed nothing."""

    def command(self) -> str:
        """Return the command, for a POSIX shell."""
        return f"exec python3 -ISB {PROGRAM} status"

    def process(self, output: list[str]) -> Any:  # noqa: ANN401  # whoever asks looks at it
        """Return what the last line says."""
        try:
            return json.loads(output[-1])
        except ValueError:
            return output[-1]


class BoxConnector(BaseConnector):
    """One box of the inventory, as root.

    What goes wrong is raised as `BoxError`, which names the box and the remedy, and not logged as pyinfra does.
    """

    handles_execution = True

    def __init__(self, state: State, host: Host) -> None:
        super().__init__(state, host)
        self._connection = BoxConnection(host.name, host.data.get(_VARIABLES))

    @staticmethod
    def make_names_data(name: str) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
        """Yield the host itself: its variables are in its data."""
        yield name, {}, []

    def disconnect(self) -> None:
        """Close the connection; the first command opened it."""
        self._connection.close()

    def run_shell_command(
        self,
        command: str | StringCommand,
        print_output: bool = False,  # noqa: ARG002, FBT001, FBT002  # as the base class
        print_input: bool = False,  # noqa: ARG002, FBT001, FBT002  # likewise
        **arguments: object,  # noqa: ARG002  # likewise
    ) -> tuple[bool, CommandOutput]:
        """Run a command and return what it printed.

        Raises:
            BoxError: the box can't be reached, or the command printed nothing and failed.
        """
        text = command if isinstance(command, str) else command.get_raw_value()
        lines = self._connection.lines(["sh", "-c", text])
        return True, CommandOutput([OutputLine("stdout", line) for line in lines])

    def put_file(self, *_: object, **__: object) -> NoReturn:
        """Refuse: Ansible puts files on boxes."""
        raise NotImplementedError

    def get_file(self, *_: object, **__: object) -> NoReturn:
        """Refuse likewise."""
        raise NotImplementedError


def ask_status(name: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the status of a box, as `gpubox.switch_program.box.status` does.

    Args:
        name: as in the inventory.
        variables: its variables.

    Raises:
        BoxError: the box can't be reached, its program can't tell, or it answers otherwise than this version's.
    """
    with _host(name, variables) as host:
        return check_status(name, host.get_fact(BoxState) or {})


@contextmanager
def _host(name: str, variables: Mapping[str, Any]) -> Iterator[Host]:
    """Give a box as a host of pyinfra; its connection is closed in the end."""
    inventory = _Boxes(([], {}))  # type: ignore[no-untyped-call]
    inventory.host_data[name] = {_VARIABLES: variables}
    host = Host(name, inventory=inventory, groups=[], connector_cls=BoxConnector)
    inventory.hosts[name] = host
    State(inventory, Config())  # type: ignore[no-untyped-call]
    try:
        host.connect()
        yield host
    finally:
        host.disconnect()
