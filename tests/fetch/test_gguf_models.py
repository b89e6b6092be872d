"""The role gguf_models on this machine, with every path of it in a temporary folder."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fetch.box import REVISION, model

if TYPE_CHECKING:
    from hub.server import Hub

ROOT = Path(__file__).parents[2]
PLAYBOOK = Path(sys.executable).with_name("ansible-playbook")


@dataclass
class Play:
    """A playbook of the role alone, on this machine.

    Attributes:
        folder: where the playbook, the role's home and the cache are.
        variables: of the role.
    """

    folder: Path
    variables: dict[str, Any] = field(default_factory=dict)

    def start(self, *options: str, **variables: Any) -> subprocess.Popen[str]:
        """Start ansible-playbook, in a process group of its own."""
        playbook = self.folder / "playbook.yml"
        play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "roles": ["gguf_models"]}
        playbook.write_text(json.dumps([play | {"vars": self.variables | variables}]))
        environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "ANSIBLE_ROLES_PATH": str(ROOT / "roles"),
            "ANSIBLE_CALLBACK_RESULT_FORMAT": "json",
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_PIPELINING": "1",
            "COLUMNS": "1000",
        }
        return subprocess.Popen(
            [PLAYBOOK, "-i", "localhost,", playbook, *options],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *options: str, **variables: Any) -> tuple[int, str]:
        """Run ansible-playbook.

        Returns:
            How many tasks changed something, or -1 for a failed run; and all that was printed.
        """
        process = self.start(*options, **variables)
        out, _ = process.communicate()
        recap = re.findall(r"changed=(\d+) .* failed=(\d+)", out)
        assert len(recap) == 1, out
        changed, failed = recap[0]
        return (-1 if failed != "0" or process.returncode else int(changed)), out

    @property
    def link(self) -> Path:
        """Where servers find the model."""
        return self.folder / f"cache/models--org--open/snapshots/{REVISION}/a.gguf"


@pytest.fixture
def play(tmp_path: Path, hub: Hub) -> Play:
    folder = tmp_path / "play"
    folder.mkdir()
    return Play(
        folder,
        {
            "ansible_python_interpreter": sys.executable,
            "gguf_models_home": str(folder / "home"),
            "gguf_models_cache": str(folder / "cache"),
            "gguf_models_endpoint": hub.endpoint,
            "gguf_models_interpreter": sys.executable,
            "gguf_models_wanted": [model("org/open", "a.gguf")],
            "gguf_models_attempts": 2,
            "gguf_models_retry_wait": 0.01,
            "gguf_models_reserve_gb": 0,
            "gguf_models_progress_interval": 1,
        },
    )


def message(out: str) -> str:
    """Return the message of the task that failed."""
    found = re.search(r'^(?:fatal|failed): .*?"msg": ("(?:[^"\\]|\\.)*")', out, re.DOTALL | re.MULTILINE)
    assert found, out
    return str(json.loads(found[1]))


def test_a_bare_box_is_converged_once_and_then_left_alone(play: Play, hub: Hub, originals: Path) -> None:
    changed, out = play.run("--check", "--diff")
    assert changed == 2, out
    assert list(play.folder.iterdir()) == [play.folder / "playbook.yml"]
    changed, out = play.run("--diff")
    assert changed == 3, out
    assert play.link.read_bytes() == (originals / "a.gguf").read_bytes()
    del hub.asked[:]
    changed, out = play.run("--diff", gguf_models_verify="full", gguf_models_gc="delete")
    assert changed == 0, out
    assert '"msg": "1 files are right"' in out
    changed, out = play.run("--check", "--diff")
    assert changed == 0, out
    assert hub.asked == []
    play.link.unlink()
    changed, out = play.run("--check", "--diff")
    assert changed == 1, out


def test_what_nobody_needs_is_collected_and_the_role_takes_itself_away(play: Play) -> None:
    assert play.run(gguf_models_wanted=[model("org/open", "a.gguf", "b.gguf")])[0] == 3
    changed, out = play.run(gguf_models_gc="delete")
    assert (changed, "deleted 3 files, 0.002 GB" in out) == (2, True), out  # the list of wanted models is another too
    changed, out = play.run(gguf_models_state="absent")
    assert (changed, play.link.exists(), (play.folder / "home").exists()) == (1, True, False), out
    changed, out = play.run(gguf_models_state="absent", gguf_models_absent_deletes_models=True)
    assert (changed, play.link.exists()) == (1, False), out
    assert play.run(gguf_models_state="absent", gguf_models_absent_deletes_models=True)[0] == 0


def test_progress_is_seen_and_a_killed_playbook_loses_nothing(play: Play, hub: Hub) -> None:
    hub.faults.bytes_per_s = 100_000
    for kill in (True, False):
        process = play.start(gguf_models_connections=2)
        assert process.stdout is not None
        while not (seen := re.search(r"\(item=(\d+) %, \S+ of 0.002 GB, 0 MB/s, ", process.stdout.readline())):
            assert process.poll() is None
        assert int(seen[1]) < 100
        if kill:
            os.killpg(process.pid, signal.SIGKILL)
        else:
            hub.faults.bytes_per_s = None
        process.communicate()
    assert process.returncode == 0
    assert play.link.exists()
    assert len([asked for asked in hub.asked if asked.server == "store"]) == 1


def test_a_fault_names_host_thing_and_remedy_and_a_rerun_finishes(play: Play, hub: Hub) -> None:
    hub.faults.wrong_bytes = True
    changed, out = play.run()
    assert changed == -1
    assert re.sub("[0-9a-f]{64}", "HASH", message(out)) == (
        "localhost: org/open/a.gguf: wrong bytes, deleted (SHA-256 HASH, expected HASH); "
        "run again; if it repeats, the hub or a mirror is damaged"
    )
    hub.faults.wrong_bytes = False
    assert play.run()[0] == 1


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        (
            {"gguf_models_wanted": [{"repo": "org/open", "revision": "main", "files": [{"name": "a.gguf"}]}]},
            (
                "localhost: org/open can't be fetched as it is described; give an absolute path, or repo, files and a revision "
                "of 40 hex digits (a branch or tag can change)"
            ),
        ),
        (
            {"gguf_models_wanted": [{"path": "/nowhere.gguf"}]},
            "localhost: /nowhere.gguf: No such file or directory; put the model there, or mend model.path in the profile",
        ),
        (
            {"gguf_models_interpreter": "/usr/bin/nopython"},
            "localhost: /usr/bin/nopython: can't be run; install Python 3.11 or newer and name it in gguf_models_python",
        ),
    ],
)
def test_what_can_not_be_converged_is_said_in_a_sentence(play: Play, variables: dict[str, Any], text: str) -> None:
    changed, out = play.run(**variables)
    assert (changed, message(out)) == (-1, text)


def test_a_token_is_in_no_output_and_in_no_file_of_ours(play: Play, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("hf_right\n")
    token.chmod(0o600)
    changed, out = play.run("-v", gguf_models_token_file=str(token), gguf_models_wanted=[model("org/closed", "a.gguf")])
    assert changed == 3, out
    assert "hf_right" not in out
    files = [path for path in play.folder.rglob("*") if path.is_file() and path.stat().st_size < 100_000]
    assert [path for path in files if b"hf_right" in path.read_bytes()] == []
