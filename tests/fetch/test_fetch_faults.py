"""What the fetch says and leaves behind when something is wrong, and that a rerun finishes."""

from __future__ import annotations

import hashlib
import re
import socket
from typing import TYPE_CHECKING, Any

import pytest

from fetch.box import REVISION, Box, model

if TYPE_CHECKING:
    from pathlib import Path

    from hub.server import Hub

ACCESS = "put a token that may read it into gguf_models_token_file, or mend the repository's name"
LIST = "see the repository's list of files"
GO_ON = "what is there is kept; run again to go on"


def test_a_connection_that_breaks_at_every_tenth_only_costs_time(box: Box, hub: Hub, originals: Path) -> None:
    hub.faults.drop_at_tenths = True
    box.wants(model("org/open", "a.gguf", "b.gguf"))
    status, _, err = box.run("fetch")
    assert (status, err) == (0, "")
    for name in ("a.gguf", "b.gguf"):
        assert box.snapshot("org/open", name).read_bytes() == (originals / name).read_bytes()
    starts = [int(re.findall(r"\d+", asked.range or "")[0]) for asked in hub.asked if asked.server == "store"]
    assert sorted(starts) == sorted(2 * [*range(0, 2_000_001, 200_000)])


def test_wrong_bytes_of_the_right_size_are_never_linked(box: Box, hub: Hub, originals: Path) -> None:
    hub.faults.wrong_bytes = True
    box.wants(model("org/open", "a.gguf"))
    right = (originals / "a.gguf").read_bytes()
    wrong = bytearray(right)
    wrong[len(right) // 2] ^= 0xFF
    found, expected = hashlib.sha256(wrong).hexdigest(), hashlib.sha256(right).hexdigest()
    status, _, err = box.run("fetch")
    assert (status, err) == (
        1,
        (
            f"org/open/a.gguf: wrong bytes, deleted (SHA-256 {found}, expected {expected}); "
            "run again; if it repeats, the hub or a mirror is damaged\n"
        ),
    )
    assert box.files() == []
    hub.faults.wrong_bytes = False
    assert box.run("fetch")[0] == 0
    assert box.snapshot("org/open", "a.gguf").read_bytes() == right


def test_a_hub_that_ignores_ranges_is_read_from_end_to_end(box: Box, hub: Hub, originals: Path) -> None:
    hub.faults.ignore_ranges = True
    box.wants(model("org/open", "a.gguf"))
    assert box.run("fetch")[0] == 0
    assert box.snapshot("org/open", "a.gguf").read_bytes() == (originals / "a.gguf").read_bytes()


def test_it_goes_on_where_it_was_even_with_a_hub_that_ignores_ranges(box: Box, hub: Hub, originals: Path) -> None:
    hub.faults.drop_at_tenths = True
    box.settings["attempts"] = 1
    box.wants(model("org/open", "a.gguf"))
    status, _, err = box.run("fetch")
    assert (status, err) == (1, f"org/open/a.gguf: the connection ended early; {GO_ON}\n")
    assert box.files() == [
        f"models--org--open/.gpubox/{hub.etag(hub.repositories['org/open'], 'a.gguf')}.{suffix}"
        for suffix in ("part", "ranges")
    ]
    hub.faults.drop_at_tenths = False
    hub.faults.ignore_ranges = True
    status, out, _ = box.run("fetch")
    assert (status, out.splitlines()[0]) == (0, "fetches 0.002 GB, 0.000 GB of them are there")
    assert box.snapshot("org/open", "a.gguf").read_bytes() == (originals / "a.gguf").read_bytes()


@pytest.mark.parametrize(
    ("wanted", "fault"),
    [
        (
            model("org/open", "UD-Q2/aagain.gguf"),
            f"org/open/UD-Q2/aagain.gguf: not in commit {REVISION[:12]}; did you mean UD-Q2/a-again.gguf?",
        ),
        (model("org/open", "zzzz.gguf"), f"org/open/zzzz.gguf: not in commit {REVISION[:12]}; {LIST}"),
        (model("org/none", "a.gguf"), f"HUB/org/none: not there, or private; {ACCESS}"),
        (model("org/closed", "a.gguf"), f"HUB/org/closed: the hub wants a token (HTTP 401); {ACCESS}"),
        (
            model("org/gated", "a.gguf"),
            "HUB/org/gated: a gated repository; accept its terms on the hub and put your token into gguf_models_token_file",
        ),
        (
            model("org/open", "a.gguf") | {"revision": "0" * 40},
            f"HUB/org/open: no commit {'0' * 40}; mend revision in the profile",
        ),
        (
            model("org/open", "small.gguf"),
            "org/open/small.gguf: the hub tells no SHA-256; write the file's sha256 into the profile",
        ),
        (
            model("org/open", "a.gguf", a="0" * 64),
            f"org/open/a.gguf: the profile expects SHA-256 {'0' * 64}, the hub has SHA256; mend sha256 or revision in the profile",
        ),
    ],
)
def test_what_the_hub_does_not_have_is_said_in_a_sentence(
    box: Box, hub: Hub, wanted: dict[str, Any], fault: str
) -> None:
    box.wants(wanted)
    status, out, err = box.run("fetch")
    sha256 = hub.etag(hub.repositories["org/open"], "a.gguf")
    assert (status, out, err) == (1, "", fault.replace("HUB", hub.endpoint).replace("SHA256", sha256) + "\n")
    assert box.files() == []


def test_all_faults_are_told_at_once(box: Box, hub: Hub) -> None:
    box.wants(model("org/open", "zzzz.gguf", "a.gguf"), model("org/none", "a.gguf"))
    assert box.run("fetch") == (
        1,
        "",
        (
            f"org/open/zzzz.gguf: not in commit {REVISION[:12]}; {LIST}\n"
            f"{hub.endpoint}/org/none: not there, or private; {ACCESS}\n"
        ),
    )


def test_a_wrong_token_is_named_and_not_shown(box: Box, hub: Hub) -> None:
    token = box.folder / "token"
    box.settings["token_file"] = str(token)
    box.wants(model("org/closed", "a.gguf"))
    token.write_text("hf_wrong")
    token.chmod(0o600)
    assert box.run("fetch") == (
        1, "", f"{hub.endpoint}/org/closed: the hub refuses the token (HTTP 401); {ACCESS}\n",
    )  # fmt: skip  # one result


@pytest.mark.parametrize(
    ("mode", "text", "fault"),
    [
        (0o640, "hf_right", "others may read the token (mode 0640); chmod 600 TOKEN"),
        (0o600, "\n", "no token in it; write the token of the hub there"),
        (None, "", "No such file or directory; write the token of the hub there, mode 0600"),
    ],
)
def test_a_token_file_that_is_open_empty_or_missing_ends_it(box: Box, mode: int | None, text: str, fault: str) -> None:
    token = box.folder / "token"
    box.settings["token_file"] = str(token)
    box.wants(model("org/closed", "a.gguf"))
    if mode is not None:
        token.write_text(text)
        token.chmod(mode)
    assert box.run("fetch") == (1, "", f"{token}: {fault.replace('TOKEN', str(token))}\n")


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_hub_and_a_store_in_trouble_for_a_while_are_waited_for(box: Box, hub: Hub, status: int) -> None:
    hub.faults.hub_answers.extend([(status, {})] * 2)
    hub.faults.store_answers.extend([(status, {})] * 2)
    box.wants(model("org/open", "a.gguf"))
    code, out, err = box.run("fetch")
    assert (code, err) == (0, "")
    assert out.splitlines()[:2] == [
        f"{hub.endpoint}/org/open: HTTP {status}; attempt 2 of 4 in 0.01 s",
        f"{hub.endpoint}/org/open: HTTP {status}; attempt 3 of 4 in 0.02 s",
    ]


def test_a_hub_that_names_a_wait_is_obeyed(box: Box, hub: Hub) -> None:
    hub.faults.hub_answers.append((429, {"Retry-After": "1"}))
    box.wants(model("org/open", "a.gguf"))
    _, out, _ = box.run("fetch")
    assert out.splitlines()[0] == f"{hub.endpoint}/org/open: HTTP 429; attempt 2 of 4 in 1 s"


def test_a_store_in_trouble_for_long_ends_it_and_a_rerun_finishes(box: Box, hub: Hub) -> None:
    hub.faults.store_answers.extend([(503, {})] * 100)
    box.wants(model("org/open", "a.gguf"))
    status, _, err = box.run("fetch")
    assert (status, err) == (1, f"org/open/a.gguf: HTTP 503, 4 times in a row; {GO_ON}\n")
    hub.faults.store_answers.clear()
    assert box.run("fetch")[0] == 0


def test_a_signed_address_that_ran_out_is_asked_for_anew(box: Box, hub: Hub) -> None:
    hub.faults.store_answers.append((403, {}))
    box.wants(model("org/open", "a.gguf"))
    assert box.run("fetch")[0] == 0
    assert [(asked.server, asked.method) for asked in hub.asked] == [
        ("hub", "HEAD"), ("store", "GET"), ("hub", "HEAD"), ("store", "GET"),
    ]  # fmt: skip  # one conversation


def test_a_hub_that_is_not_there_is_named(box: Box) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        box.endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        box.wants(model("org/open", "a.gguf"))
        status, _, err = box.run("fetch")
    assert (status, err) == (1, f"{box.endpoint}/org/open: Connection refused, 4 times in a row; {GO_ON}\n")


def test_the_disk_is_measured_before_the_first_byte(box: Box, hub: Hub) -> None:
    sha256 = hub.etag(hub.repositories["org/open"], "small.gguf")
    box.wants(model("org/open", "huge.gguf"))
    status, out, err = box.run("fetch")
    assert (status, out, re.sub(r"only \S+ GB", "only N GB", err)) == (
        1,
        "",
        (
            f"{box.cache}: 1000000.0 GB to fetch, but only N GB are free; "
            "make room (gguf_models_gc lists what no profile needs), or set gguf_models_cache to a larger disk\n"
        ),
    )
    assert sha256 not in {asked.path for asked in hub.asked if asked.server == "store"}


def test_space_to_keep_free_counts_as_taken(box: Box) -> None:
    box.settings["reserve_bytes"] = 10**15
    box.wants(model("org/open", "a.gguf"))
    assert box.run("fetch") == (
        1,
        "",
        (
            f"{box.cache}: 0.002 GB to fetch, but only 0.000 GB are free beside the 1000000.0 GB to keep free; "
            "make room (gguf_models_gc lists what no profile needs), or set gguf_models_cache to a larger disk\n"
        ),
    )


def test_offline_a_missing_file_is_an_error_and_nobody_is_asked(box: Box, hub: Hub) -> None:
    box.settings["offline"] = True
    box.wants(model("org/open", "a.gguf"))
    assert box.run("fetch") == (
        1,
        "",
        (
            "org/open/a.gguf: not in the cache, and the network is off limits; "
            "copy the cache from another box, or set gguf_models_offline to false\n"
        ),
    )
    assert hub.asked == []


def test_the_clients_own_switch_for_offline_is_named(box: Box, hub: Hub) -> None:
    box.wants(model("org/open", "a.gguf"))
    process = box.start(HF_HUB_OFFLINE="1")
    _, err = process.communicate()
    assert (process.returncode, err) == (
        1, f"{hub.endpoint}/org/open: HF_HUB_OFFLINE is set; unset it, or set gguf_models_offline\n",
    )  # fmt: skip  # one result


def test_offline_what_is_in_place_is_enough(box: Box, hub: Hub) -> None:
    box.wants(model("org/open", "a.gguf"))
    box.run("fetch")
    del hub.asked[:]
    box.settings["offline"] = True
    box.wants(model("org/open", "a.gguf"))
    assert box.run("fetch") == (0, "everything was in place\n", "")
    assert hub.asked == []


def test_a_cache_that_can_not_be_written_is_named(box: Box) -> None:
    box.wants(model("org/open", "a.gguf"))
    box.cache.write_text("a file where the folder should be")
    assert box.run("fetch") == (
        1, "", f"{box.cache}: Not a directory; run as the owner of the cache, or choose another folder\n",
    )  # fmt: skip  # one result


def test_a_manifest_that_reaches_outside_the_cache_or_is_not_pinned_is_refused(box: Box) -> None:
    box.wants(
        {
            "repo": "../../etc",
            "revision": "main",
            "files": [{"name": "../x.gguf"}, {"name": "README.md", "sha256": "z"}],
        }
    )
    place = f"{box.manifest}: models[0]"
    assert box.run("plan") == (
        1,
        "",
        (
            f"{place}.repo: '../../etc' is not ORG/NAME\n"
            f"{place}.revision: 'main' is not a commit of 40 hex digits; a branch or tag can change: pin its commit\n"
            f"{place}.files[0].name: '../x.gguf' is not a GGUF in the repository\n"
            f"{place}.files[1].name: 'README.md' is not a GGUF in the repository\n"
            f"{place}.files[1].sha256: 'z' is not 64 hex digits\n"
        ),
    )


def test_a_missing_manifest_is_said_in_a_sentence(box: Box) -> None:
    assert box.run("plan") == (
        1, "", f"{box.manifest}: No such file or directory; run the role gguf_models first\n",
    )  # fmt: skip  # one result


def test_local_models_that_are_missing_wrong_or_no_gguf_are_told_at_once(box: Box, originals: Path) -> None:
    text = originals / "notes.gguf"
    text.write_text("not a model")
    a = originals / "a.gguf"
    found = hashlib.sha256(a.read_bytes()).hexdigest()
    box.wants({"path": "/nowhere.gguf"}, {"path": str(text)}, {"path": str(a), "sha256": "0" * 64})
    faults = (
        "/nowhere.gguf: No such file or directory; put the model there, or mend model.path in the profile\n"
        f"{text}: not a GGUF (begins with b'not '); put the model there, or mend model.path in the profile\n"
        f"{a}: wrong bytes (SHA-256 {found}, the profile expects {'0' * 64}); "
        "replace the file, or mend model.sha256 in the profile\n"
    )
    assert box.run("plan") == (1, "", faults)
    assert box.run("fetch") == (1, "", faults)
