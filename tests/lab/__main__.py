"""A box to play with: `PYTHONPATH=tests python3 -m lab up`, as root."""

from __future__ import annotations

import argparse
import sys
import time

from . import keeper
from .errors import LabError
from .lab import Lab, with_podman
from .release import RELEASES


def _up(release: str, *, podman: bool) -> None:
    print("lab: starting a box (the first one takes about a minute, for its image)", file=sys.stderr)
    with Lab(keep=True) as lab:
        chosen = RELEASES[release]
        of = with_podman(chosen) if podman else chosen
        begun = time.monotonic()
        box = lab.box(of)
        print(f"{box.name}: {chosen.title}, up after {time.monotonic() - begun:.1f} s, nothing of gpubox in it")
        print(f"  ssh -F {box.ssh_config} {box.name}")
        print(f"  ansible-playbook -i {box.inventory_file} …")
        print("  make box-down    removes it")


def _down() -> None:
    with Lab(keep=True) as lab:
        kept = [record for record in lab.records() if record.owner is None]
        for record in kept:
            keeper.remove(record)
            print(f"{record.name}: removed")
        if not kept:
            print("lab: there is no box")


def _list() -> None:
    with Lab(keep=True) as lab:
        for record in lab.records():
            state = "on" if record.process("keeper") else "off"
            user = f"of process {record.owner.pid}" if record.owner else "kept"
            print(
                f"{record.name}  {record.release}  {state}  {user}  ssh -F {record.folder / 'ssh_config'} {record.name}"
            )


def _clean() -> None:
    with Lab(keep=True) as lab:
        lab.clean()
        print(f"{lab.folder}: all boxes and images removed")


def main(argv: list[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="lab", description="Real boxes: systemd, sshd and Podman, in a second or two."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start a box that stays")
    up.add_argument("--release", choices=sorted(RELEASES), default="trixie")
    up.add_argument("--podman", action="store_true", help="with the release's Podman installed")
    commands.add_parser("down", help="remove the boxes that stay")
    commands.add_parser("list", help="show every box")
    commands.add_parser("clean", help="remove every box and every image")
    asked = parser.parse_args(argv)
    try:
        match asked.command:
            case "up":
                _up(asked.release, podman=asked.podman)
            case "down":
                _down()
            case "list":
                _list()
            case _:
                _clean()
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
