"""`gpubox bench bisect`: what it lists, and what is refused before a box is asked."""

from __future__ import annotations

import json

import pytest

from cli.console import Console
from e2e.git_mirror import GitMirror

PROFILE = "model: {path: /m.gguf}\nserver: {ctx_size: 1024}\n"
HOSTS = """
gpu_boxes:
  hosts:
    here: {ansible_host: 192.0.2.1, gpubox_profiles: [glm]}
    there: {ik_llama_image_source: "{{ somewhere }}"}
"""


@pytest.fixture
def console(tmp_path_factory: pytest.TempPathFactory) -> Console:
    folder = tmp_path_factory.mktemp("home")
    profiles = folder / "inventory" / "profiles"
    profiles.mkdir(parents=True)
    (profiles / "glm.yml").write_text(PROFILE)
    (profiles / "other.yml").write_text(f"{PROFILE}engine: {{name: llama_cpp}}\n")
    (folder / "inventory" / "boxes.yml").write_text(HOSTS)
    return Console(folder)


def test_it_lists_the_commits_and_how_many_would_be_measured(console: Console) -> None:
    mirror = GitMirror(console.folder / "engine")
    commits = [mirror.commit(f"Step {number}") for number in range(10)]
    words = [
        "--good",
        commits[0],
        "--bad",
        "main",
        "--profile",
        "glm",
        "--host",
        "here",
        "--source",
        "engine",
        "--list",
    ]
    done = console.run("bench", "bisect", *words)
    assert (done.returncode, done.stderr) == (0, "")
    listed = "".join(f"{commit[:9]} (2026-01-01) Step {number}\n" for number, commit in enumerate(commits))
    told = "8 commits between both ends: about 4 of them, and 4 measurements in turns\n"
    assert done.stdout == listed + told
    document = json.loads(console.run("bench", "bisect", *words, "--json").stdout)
    assert ([one["hash"] for one in document["commits"]], document["steps"]) == (commits, 4)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--profile", "other", "--host", "here"],
            "other: is served by llama_cpp; only ik_llama.cpp can be bisected",
        ),
        (["--profile", "gml", "--host", "here"], "gml: no such profile in inventory/profiles; did you mean glm?"),
        (
            ["--profile", "glm", "--host", "gpu_boxes"],
            "gpu_boxes: is a group of several boxes; name one of here, there",
        ),
        (
            ["--profile", "glm", "--host", "there"],
            "ik_llama_image_source: is a template ({{ somewhere }}); name the repository with --source",
        ),
        (
            ["--profile", "glm", "--host", "here", "--workload", "x", "--tg", "4"],
            "--workload: says itself how long prompts and answers are; leave --pp and --tg out",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(console: Console, words: list[str], message: str) -> None:
    done = console.run("bench", "bisect", "--good", "a", "--bad", "b", *words)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"gpubox: {message}\n")


def test_a_workload_of_several_things_is_refused(console: Console) -> None:
    (console.folder / "two.yml").write_text("measure: [{prompt: 64, generate: 16}, {prompt: 128, generate: 16}]\n")
    words = ["--good", "a", "--bad", "b", "--profile", "glm", "--host", "here", "--workload", "two.yml"]
    done = console.run("bench", "bisect", *words)
    assert done.stderr == (
        "gpubox: --workload: a bisection measures one thing (pp64+tg16, pp128+tg16); write a file with that one\n"
    )
