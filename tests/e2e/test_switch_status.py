"""What `gpubox status` and `gpubox endpoint` tell of a box, and of what there is not as deployed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from e2e.switching import SwitchingBox

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_the_status_tells_what_serves_and_what_is_not_as_deployed(there: SwitchingBox) -> None:
    status, printed = there.run("status")
    assert status == 0, printed
    row = printed.splitlines()[1].split()
    assert row[:2] == [there.box.name, "one"]
    assert "40004/97887, 4/97887" in printed
    there.box.run(
        "echo '# mine' >> /etc/containers/systemd/one.container; podman tag localhost/base:e2e localhost/one:e2e"
    )
    try:
        status, printed = there.run("status", there.box.name)
    finally:
        there.box.run(
            "sed -i '$d' /etc/containers/systemd/one.container; podman tag localhost/engine:e2e localhost/one:e2e"
        )
    assert status == 1
    name = there.box.name
    assert f"{name}: /etc/containers/systemd/one.container was changed by hand; run playbooks/profiles.yml\n" in printed
    assert re.search(rf"{name}: one runs image \w{{12}}, and localhost/one:e2e is \w{{12}} now\n", printed)


def test_a_box_that_does_not_answer_is_told_beside_the_others(there: SwitchingBox) -> None:
    path = there.operator.folder / "gone.yml"
    path.write_text("others: {hosts: {gone: {ansible_host: 127.0.0.1, ansible_port: 1}}}\n")
    try:
        status, printed = there.run("status")
    finally:
        path.unlink()
    assert status == 1
    found = {line.split()[0]: line.split(maxsplit=1)[1] for line in printed.splitlines()[1:3]}
    assert found["gone"].startswith("can't be reached: ")
    assert found[there.box.name].startswith("one ")


def test_the_endpoint_of_what_is_active_is_told(there: SwitchingBox) -> None:
    status, printed = there.run("endpoint", "--host", there.box.name)
    assert status == 0
    assert printed.startswith(
        "one: http://127.0.0.1:8000/v1, model one, 2048 tokens\n\n# tunnel\nssh -N -L 8000:127.0.0.1:8000 "
    )
