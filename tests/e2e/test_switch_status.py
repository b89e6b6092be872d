"""What `gpubox status` and `gpubox endpoint` tell of a box, and of what there is not as deployed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from e2e.switching import SwitchingBox

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def test_the_status_tells_what_serves(there: SwitchingBox) -> None:
    status, printed = there.run("status")
    assert status == 0, printed
    row = printed.splitlines()[1].split()
    assert row[:2] == [there.box.name, "one"]
    assert "40004/97887, 4/97887" in printed


UNIT, MODEL = "/etc/containers/systemd/one.container", "/srv/models/one.gguf"
RECORDS = "/var/lib/gpubox/gguf_models/local-models.json"
VERIFIED = (
    f"mkdir -p $(dirname {RECORDS}) && stat -c '%s %Y %i' {MODEL} | (read size mtime inode;"
    """ printf '{"%s": {"sha256": "%s", "size": %s, "mtime_ns": %s000000000, "inode": %s}}' """
    f"{MODEL} $(sha256sum {MODEL} | cut -c -64) $size $mtime $inode > {RECORDS})"
)
FORGET = f"rm -r $(dirname {RECORDS})"
AGAIN = "systemctl daemon-reload && systemctl restart one"
# How a box comes to be otherwise than deployed, how it is mended, and what is told.
DRIFTS = {
    "unit changed": (
        f"echo '# mine' >> {UNIT}",
        f"sed -i '$d' {UNIT}",
        [f"{UNIT} was changed by hand; run playbooks/profiles.yml"],
    ),
    "image changed": (
        "podman tag localhost/base:e2e localhost/one:e2e",
        "podman tag localhost/engine:e2e localhost/one:e2e",
        ["one runs image HEX, and localhost/one:e2e is HEX now"],
    ),
    "argv of an earlier unit": (
        (
            f'cp {UNIT} /root/kept && sed -i \'s/2048/4096/; s/"--n-gpu-layers" "99"//\' {UNIT} && {AGAIN}'
            f" && cp /root/kept {UNIT} && systemctl daemon-reload"
        ),
        f"rm /root/kept && {AGAIN}",
        [
            (
                "one runs with --ctx-size 4096, and its unit has --ctx-size 2048 --n-gpu-layers 99; "
                "systemctl restart one, if its unit is right"
            )
        ],
    ),
    "model as it was verified": (f"touch -d @1700000000 {MODEL} && {VERIFIED}", FORGET, []),
    "model of another time": (
        f"touch -d @1700000000 {MODEL} && {VERIFIED} && touch -d @1700000001 {MODEL}",
        FORGET,
        [f"{MODEL}: was changed after its hash was checked; run playbooks/models.yml"],
    ),
    "model in place of the verified one": (
        f"touch -d @1700000000 {MODEL} && {VERIFIED} && cp -p {MODEL} {MODEL}.new && mv {MODEL}.new {MODEL}",
        FORGET,
        [f"{MODEL}: is another file than the one whose hash was checked; run playbooks/models.yml"],
    ),
    "model of another hash": (
        f'touch -d @1700000000 {MODEL} && {VERIFIED} && sed -i \'s/"sha256": "....../"sha256": "ffffff/\' {RECORDS}',
        FORGET,
        [f"{MODEL}: had SHA-256 HEX… when it was checked, and the profile wants HEX…; run playbooks/models.yml"],
    ),
    "profile changed": (
        "true",
        "true",
        ["one was changed after its deployment; run playbooks/profiles.yml"],
    ),
}


@pytest.mark.parametrize("drift", DRIFTS)
def test_each_drift_is_told_by_itself(there: SwitchingBox, drift: str) -> None:
    break_it, mend_it, told = DRIFTS[drift]
    profile = there.operator.folder / "profiles" / "one.yml"
    declared = profile.read_text()
    there.box.run(break_it)
    if drift == "profile changed":
        profile.write_text(declared.replace("2048", "4096"))
    try:
        there.await_answers(["one"])
        status, printed = there.run("status", there.box.name)
    finally:
        there.box.run(mend_it)
        profile.write_text(declared)
    lines = re.sub(r"\b[0-9a-f]{12}\b", "HEX", printed).splitlines()[2:]
    assert (status, lines) == (1 if told else 0, [f"{there.box.name}: {words}" for words in told])


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
