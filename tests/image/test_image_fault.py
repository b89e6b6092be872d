"""Facts about why an image could not be built, told from what git, cmake and podman printed."""

from __future__ import annotations

import pytest

from gpubox.image_fault import image_fault, is_not_in_registry

_DOING = "the build of ik_llama:29a54f4-0123456789ab"
_STEP = 'Error: building at STEP "RUN ik-llama-build.sh": while running runtime: exit status 1'
_CASES = {
    "git mirror gone": (
        "fatal: unable to connect to 10.0.2.2:\n10.0.2.2[0: 10.0.2.2]: errno=Connection refused\n"
        "ik-llama-build: no git repository answers at git://10.0.2.2:9418/ik_llama.cpp\n" + _STEP,
        (
            "no git repository answers at git://10.0.2.2:9418/ik_llama.cpp; "
            "start it, or set ik_llama_image_source to a clone that the box reaches"
        ),
    ),
    "commit that does not exist": (
        "fatal: remote error: upload-pack: not our ref 0123\nik-llama-build: no commit 0123 in https://x.org/y.git\n",
        (
            "https://x.org/y.git has no commit 0123; set ik_llama_image_commit to one that it has, "
            "or ik_llama_image_source to a clone that has this one"
        ),
    ),
    "another commit than asked for": (
        "ik-llama-build: https://x.org/y.git gave commit ab instead of cd\n",
        (
            "https://x.org/y.git gave commit ab instead of cd; "
            "don't trust that clone; set ik_llama_image_source to another"
        ),
    ),
    "disk full": (
        "cc1plus: fatal error: error writing to /tmp/ccAbC.s: No space left on device\ngmake: *** [all] Error 1\n",
        (
            "the disk is full; free space where Podman keeps images (`podman info --format '{{.Store.GraphRoot}}'`) "
            "and in /var/tmp; `podman image prune` removes what nothing names"
        ),
    ),
    "compiler killed": (
        "c++: fatal error: Killed signal terminated program cc1plus\ncompilation terminated.\n",
        "the compiler was killed, most likely for want of memory; set ik_llama_image_jobs to a smaller number",
    ),
    "registry down": (
        (
            "Error: initializing source docker://127.0.0.1:5999/n:t: pinging container registry 127.0.0.1:5999: Get "
            '"https://127.0.0.1:5999/v2/": dial tcp 127.0.0.1:5999: connect: connection refused\n'
        ),
        (
            "the registry 127.0.0.1:5999 can't be reached: connection refused; "
            "start it, or check its name and the box's network; then run this again"
        ),
    ),
    "registry without TLS": (
        (
            'Error: pinging container registry reg.home.arpa:5000: Get "https://reg.home.arpa:5000/v2/": http: server gave '
            "HTTP response to HTTPS client\n"
        ),
        (
            "the registry reg.home.arpa:5000 speaks HTTP and not HTTPS; "
            "list it as an insecure registry of the box (container_host_registries), or give it a certificate"
        ),
    ),
    "base image that is not there": (
        (
            "Error: creating build container: initializing source docker://127.0.0.1:5000/base@sha256:ab: reading manifest "
            "sha256:ab in 127.0.0.1:5000/base: manifest unknown\n"
        ),
        "127.0.0.1:5000/base has no such image; check the base images and ik_llama_image_base_registry",
    ),
    "login wanted": (
        "Error: checking whether a blob sha256:ab exists in 127.0.0.1:5000/base: authentication required\n",
        "the registry wants a login; run `podman login` on the box as root",
    ),
}


@pytest.mark.parametrize("case", _CASES)
def test_a_known_cause_is_told_with_what_to_do(case: str) -> None:
    output, told = _CASES[case]
    assert str(image_fault("box", _DOING, output)).splitlines()[0] == f"box: {_DOING}: {told}"


def test_an_unknown_cause_is_told_by_its_last_lines_without_the_noise_after_them() -> None:
    output = "[ 50%] Building C object a.o\na.c:1:2: error: #error no such luck\ngmake: *** [all] Error 2\n" + _STEP
    assert str(image_fault("box", _DOING, output, "/var/lib/gpubox/images/x/build.log")) == (
        f"box: {_DOING}: it failed; all its lines are in /var/lib/gpubox/images/x/build.log there\n"
        "  | [ 50%] Building C object a.o\n"
        "  | a.c:1:2: error: #error no such luck"
    )


def test_no_more_than_twelve_lines_are_shown() -> None:
    shown = str(image_fault("box", "x", "".join(f"line {number}\n" for number in range(99)))).splitlines()
    assert shown[1:] == [f"  | line {number}" for number in range(87, 99)]


def test_silence_is_told_too() -> None:
    assert str(image_fault("box", "the push of x", "")) == "box: the push of x: it failed"


@pytest.mark.parametrize(
    ("output", "missing"),
    [
        ("Error: reading manifest t in 127.0.0.1:5000/n: manifest unknown", True),
        ("Error: reading manifest t in reg/n: name unknown: repository name not known to registry", True),
        ("Error: pinging container registry reg: Get https://reg/v2/: dial tcp: lookup reg: no such host", False),
        ("Error: pinging container registry reg: 404: not found", False),
        ("Error: reading manifest t in reg/n: authentication required", False),
        ("", False),
    ],
)
def test_an_image_that_a_registry_lacks_is_told_from_a_registry_that_fails(output: str, *, missing: bool) -> None:
    assert is_not_in_registry(output) is missing
