"""`gpubox bench --host`: what is refused before a box is asked."""

from __future__ import annotations

import pytest

from cli.console import Console

PROFILE = "model: {path: /m.gguf}\nengine: {name: llama_cpp}\nserver: {ctx_size: 1024}\n"
HOSTS = "gpu_boxes: {hosts: {here: {ansible_host: 192.0.2.1, gpubox_profiles: [glm]}, there: {}}}\n"


@pytest.fixture
def console(tmp_path_factory: pytest.TempPathFactory) -> Console:
    folder = tmp_path_factory.mktemp("home")
    profiles = folder / "inventory" / "profiles"
    profiles.mkdir(parents=True)
    (profiles / "glm.yml").write_text(PROFILE)
    (folder / "inventory" / "boxes.yml").write_text(HOSTS)
    (folder / "matrix.yml").write_text("base: glm\naxes: {ubatch_size: [256, 512]}\n")
    return Console(folder)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--host", "here"],
            "--host: needs either profiles that are deployed there, or a --matrix of them; name one or more profiles",
        ),
        (
            ["glm", "--matrix", "matrix.yml", "--host", "here"],
            "--host: needs either profiles that are deployed there, or a --matrix of them; leave one of the two out",
        ),
        (
            ["glm", "--resume", "b1", "--host", "here"],
            "--resume, --restore: know the profiles themselves; leave profiles out",
        ),
        (["glm", "--write", "--host", "here"], "--write: writes the profiles of a matrix; name it with --matrix FILE"),
        (["glm", "--host", "gpu_boxes"], "gpu_boxes: is a group of several boxes; name one of here, there"),
        (["gml", "--host", "here"], "gml: no such profile in inventory/profiles; did you mean glm?"),
        (
            ["glm", "--host", "here", "--pp", "2000"],
            "glm: no workload fits its context of 1024 tokens; ask for fewer tokens, or raise ctx_size in the profile",
        ),
        (
            ["--matrix", "matrix.yml", "--host", "here"],
            "matrix.yml: 2 of its 2 profiles are not in the inventory, or are others there; write them: add --write",
        ),
        (
            ["glm", "--interleave", "--endpoint", "http://127.0.0.1:1"],
            "--interleave, --resume, --restore, --matrix and --write: are for a box; name it with --host BOX",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(console: Console, words: list[str], message: str) -> None:
    done = console.run("bench", *words)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"gpubox: {message}\n")


def test_nothing_can_be_resumed_where_nothing_was_begun(console: Console) -> None:
    done = console.run("bench", "--resume", "--host", "here")
    place = console.folder / "state" / "gpubox" / "results.db"
    message = f"gpubox: --resume: no benchmark of here in {place}; begin one: gpubox bench PROFILE --host here\n"
    assert (done.returncode, done.stderr) == (1, message)


def test_a_matrix_is_written_into_the_inventory_and_what_is_left_to_do_is_printed(console: Console) -> None:
    done = console.run("bench", "--matrix", "matrix.yml", "--host", "here", "--write")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "# 2 profiles were written. List them for here in the inventory, then run\n"
        "# playbooks/profiles.yml and the same command without --write.\n"
        "gpubox_profiles:\n  - glm-ubatch_size256\n  - glm-ubatch_size512\n"
    )
    names = sorted(path.stem for path in (console.folder / "inventory" / "profiles").glob("*.yml"))
    assert names == ["glm", "glm-ubatch_size256", "glm-ubatch_size512"]
