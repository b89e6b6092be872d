"""A model on its way to a real box: from a hub, by the real client, into the cache, and served from there."""

from __future__ import annotations

import hashlib
import re
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import TYPE_CHECKING

import pytest

from e2e.operator import Operator, build_images, messages
from gpubox.tiny_model import make_tiny_model
from hub.server import Hub, HubFile, Repository
from lab.lab import PODMAN

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lab.lab import Lab

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

REVISION = "451d18c5" * 5
PROFILE = """
model: {{repo: example/tiny-GGUF, revision: {revision}, files: [{{name: tiny.gguf, sha256: {sha256}}}]}}
engine: {{name: llama_cpp}}
gpus: none
server: {{ctx_size: 2048, parallel: 1, threads: 1}}
health: {{start_timeout: 60, stop_timeout: 10}}
"""
CACHE = "/var/lib/gpubox/hf/hub"
CONTROLLER = "10.0.2.2"  # this machine's loopback, as boxes see it


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("model") / "tiny.gguf")


@pytest.fixture(scope="module")
def hub(model: Path) -> Iterator[Hub]:
    with Hub(Repository("example/tiny-GGUF", REVISION, {"tiny.gguf": HubFile(model)}), seen_as=CONTROLLER) as served:
        yield served


@pytest.fixture(scope="module")
def operator(lab: Lab, hub: Hub, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    box = lab.box(PODMAN)
    folder = tmp_path_factory.mktemp("operator")
    build_images(lab, box, folder)
    made = Operator(folder, box)
    made.variables |= {
        "gguf_models_endpoint": hub.endpoint,
        "gguf_models_progress_interval": 1,
        "gguf_models_retry_wait": 0.1,
    }
    made.profile("tiny", PROFILE.format(revision=REVISION, sha256=hashlib.sha256(model.read_bytes()).hexdigest()))
    made.declare(["tiny"], ["tiny"])
    yield made
    lab.remove(box)


def test_wrong_bytes_of_the_right_size_never_reach_the_snapshot(operator: Operator, hub: Hub) -> None:
    hub.faults.wrong_bytes = True
    message = operator.play("models.yml", fails=True)
    hub.faults.wrong_bytes = False
    assert f"{operator.box.name}: " in message
    assert "tiny.gguf" in message
    assert operator.box.run(f"find {CACHE} -path '*snapshots*' -name tiny.gguf").stdout == ""


@pytest.mark.parametrize(
    ("status", "headers", "told"),
    [
        (
            401,
            {"X-Error-Code": "RepoNotFound"},
            "the hub wants a token (HTTP 401); put a token that may read it into gguf_models_token_file, or mend the repository's name",
        ),
        (404, {"X-Error-Code": "RevisionNotFound"}, f"no commit {REVISION}; mend revision in the profile"),
        (429, {}, "HTTP 429, 8 times in a row; what is there is kept; run again to go on"),
        (503, {}, "HTTP 503, 8 times in a row; what is there is kept; run again to go on"),
    ],
)
def test_a_hub_that_refuses_is_told_with_a_remedy_and_nothing_is_there(
    operator: Operator, hub: Hub, status: int, headers: dict[str, str], told: str
) -> None:
    hub.faults.hub_answers.extend([(status, headers)] * 100)
    output = operator.play("models.yml", fails=True)
    hub.faults.hub_answers.clear()
    assert messages(output) == {operator.box.name: f"{operator.box.name}: {hub.endpoint}/example/tiny-GGUF: {told}"}
    assert operator.box.run(f"find {CACHE} -path '*snapshots*' -name tiny.gguf").stdout == ""


def test_a_disk_that_is_too_small_is_told_before_the_first_byte(operator: Operator) -> None:
    box = operator.box
    box.run(f"mkdir -p {CACHE} && mount -t tmpfs -o size=5m tmpfs {CACHE}")
    message = operator.play("models.yml", fails=True)
    box.run(f"umount {CACHE}")
    assert re.search(rf"{box.name}: {CACHE}: \S+ GB to fetch, but only 0\.0+ GB are free", message), message


def test_a_fetch_that_is_killed_leaves_no_model_and_the_next_run_goes_on(operator: Operator, hub: Hub) -> None:
    box, random = operator.box, Random(7)
    hub.faults.bytes_per_s = 500_000
    for _ in range(2):
        after_s = random.uniform(0.2, 1.5)
        kill = f"until pgrep -f 'gguf_fetc[h] fetch'; do sleep 0.05; done; sleep {after_s}; pkill -9 -f 'gguf_fetc[h] fetch'"
        with ThreadPoolExecutor(1) as pool:
            killed = pool.submit(box.run, kill, limit_s=120, check=False)
            message = operator.play("models.yml", fails=True)
            killed.result()
        assert f"{box.name}: ended without a word after: " in message
        assert box.run(f"find {CACHE} -path '*snapshots*' -name tiny.gguf").stdout == ""
    hub.faults.bytes_per_s = None


def test_a_model_is_fetched_though_the_hub_drops_every_connection_and_then_served(operator: Operator, hub: Hub) -> None:
    hub.faults.drop_at_tenths = True
    assert operator.changes("models.yml") > 0
    hub.faults.drop_at_tenths = False
    operator.play("profiles.yml", "-e", "model_profiles_wait=true")
    assert (operator.serving(), operator.model_that_answers()) == (["tiny"], "tiny")


def test_a_second_run_changes_nothing(operator: Operator) -> None:
    assert operator.changes("models.yml") == 0
    assert operator.changes("models.yml", "--check", "--diff") == 0
