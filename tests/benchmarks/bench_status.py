"""`gpubox status` of one, ten and thirty boxes, beside `ansible --module-name ping` of the same (root).

All boxes are one of the lab under as many names: it does the work of all of them, on the same two cores as this program, so
that separate boxes can only be quicker. Prints the best of three, and this program's memory.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1])]

from e2e.switching import SwitchingBox  # noqa: E402  # found by the path above
from lab.lab import Lab  # noqa: E402

BOXES = {1: 2.0, 10: 2.0, 30: 4.0}
ROUNDS = 3
LIMIT_MIB = 200


def best(argv: list[str | Path], folder: Path, environment: dict[str, str]) -> float:
    """Return the shortest time of a command, seconds; it must end well."""
    times = []
    for _ in range(ROUNDS):
        begun = time.monotonic()
        done = subprocess.run(argv, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        times.append(time.monotonic() - begun)
        assert done.returncode == 0, done.stdout + done.stderr
    return min(times)


def main() -> None:
    """Measure and print."""
    with Lab() as lab, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        there = SwitchingBox(lab, folder)
        # By default sshd drops some of more than ten logins that begin at once.
        there.box.run("echo MaxStartups 100 > /etc/ssh/sshd_config.d/many.conf && systemctl reload ssh")
        (variables,) = there.box.ansible_inventory()["all"]["hosts"].values()
        declared = json.loads((folder / "boxes.yml").read_text())["gpu_boxes"]["hosts"][there.box.name]
        tools = Path(sys.executable).parent
        environment = dict(os.environ, ANSIBLE_HOST_KEY_CHECKING="False")
        for count, limit in BOXES.items():
            hosts = {f"box-{number}": declared | variables for number in range(count)}
            inventory = folder / f"inventory-{count}"
            inventory.mkdir()
            (inventory / "profiles").symlink_to(folder / "profiles")
            (inventory / "boxes.yml").write_text(json.dumps({"gpu_boxes": {"hosts": hosts}}))
            asked = dict(environment, GPUBOX_INVENTORY=str(inventory))
            ours = best([tools / "gpubox", "status", "--json"], folder, asked)
            peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
            ping: list[str | Path] = [
                tools / "ansible",
                "all",
                f"--inventory={inventory}",
                "--module-name=ping",
                f"--forks={count}",
            ]
            peer = best(ping, folder, environment)
            verdict = "within" if ours <= limit and peak <= LIMIT_MIB else "beyond"
            print(
                f"{count:3} boxes: gpubox status {ours:.2f} s, at most {peak:.0f} MiB; ansible ping {peer:.2f} s"
                f" ({peer / ours:.1f} x); {verdict} {limit:g} s and {LIMIT_MIB} MiB",
                flush=True,
            )


if __name__ == "__main__":
    main()
