"""What image.yml is told of a commit, and what its failure means: the commit's own fault, or something else's."""

from __future__ import annotations

import json

from gpubox.bisect.image import KEEP_ALL, RECORD, build_fault, image_variables
from gpubox.errors import ImageError, UnusableCommitError

COMMIT = "0123456789" * 4


def printed(message: str, word: str = "FAILED", host: str = "glm-box") -> str:
    told = json.dumps({"assertion": "x", "changed": False, "msg": message})
    return f"TASK [ik_llama_image : x] ***\nok: [{host}]\nfatal: [{host}]: {word}! => {told}\n\nPLAY RECAP ***\n"


def test_nothing_of_the_box_is_touched() -> None:
    assert image_variables({}, COMMIT) == {
        "ik_llama_image_commit": COMMIT,
        "ik_llama_image_native": True,
        "ik_llama_image_registry": "",
        "ik_llama_image_record": RECORD,
        "ik_llama_image_catalogues": "",
        "ik_llama_image_keep": KEEP_ALL,
        "ik_llama_image_state": "present",
    }


def test_the_cpu_code_is_what_the_box_has() -> None:
    shared = {"ik_llama_image_registry": "registry.home.arpa"}
    assert image_variables(shared, COMMIT)["ik_llama_image_native"] is False
    assert image_variables(shared | {"ik_llama_image_native": True}, COMMIT)["ik_llama_image_native"] is True


def test_a_commit_that_does_not_build_is_told_by_its_first_error() -> None:
    message = (
        "glm-box: the build of ik_llama:0123456-0123456789ab: it failed; all its lines are in /x/build.log there\n"
        "  | [ 50%] Building CXX object\n  | /src/a.cpp:1:2: error: no such luck\n  | 2 errors generated."
    )
    fault = build_fault("glm-box", printed(message))
    assert isinstance(fault, UnusableCommitError)
    assert str(fault) == "it failed; all its lines are in /x/build.log there: /src/a.cpp:1:2: error: no such luck"


def test_a_commit_whose_server_does_not_run_is_its_own_fault_too() -> None:
    message = "glm-box: the first run of ik_llama:0123456-0123456789ab: it failed\n  | Illegal instruction"
    assert str(build_fault("glm-box", printed(message))) == "it failed: Illegal instruction"


def test_a_full_disk_a_dead_network_and_a_wrong_variable_are_not() -> None:
    for message in (
        "glm-box: the build of ik_llama:0123456-0123456789ab: the disk is full; free space\n  | No space left on device",
        "glm-box: the build of ik_llama:0123456-0123456789ab: no git repository answers at git://x; start it",
        "glm-box: ik_llama_image_variant: must be cuda or cpu (got 'x')",
    ):
        fault = build_fault("glm-box", printed(message))
        assert isinstance(fault, ImageError)
        assert str(fault).startswith(f"glm-box: image.yml: {message.partition(chr(10))[0]}")


def test_a_box_that_is_not_reached_and_a_playbook_that_says_nothing_are_told() -> None:
    told = build_fault("glm-box", printed("Failed to connect to the host via ssh", "UNREACHABLE"))
    assert str(told) == (
        "glm-box: image.yml: can't reach the box: Failed to connect to the host via ssh; does `ssh glm-box` work?"
    )
    told = build_fault("glm-box", "", "ERROR! the role was not found\n")
    assert str(told).splitlines() == [
        "glm-box: image.yml: failed; run playbooks/image.yml by hand to see why",
        "  | ERROR! the role was not found",
    ]
