"""The command line itself: exit statuses, help, and the verbs that only read."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from cli.console import GPUBOX, Console
from gpubox import __version__
from gpubox.cli import VERBS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")


@pytest.fixture
def console(tmp_path: Path) -> Console:
    (tmp_path / "inventory" / "profiles").mkdir(parents=True)
    return Console(tmp_path)


def test_the_version_is_printed(console: Console) -> None:
    done = console.run("--version")
    assert (done.returncode, done.stdout) == (0, f"gpubox {__version__}\n")


def test_the_version_imports_nothing_heavy() -> None:
    code = "import sys; from gpubox.cli import main; main(['--version']); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"argparse", "typing", "yaml", "pydantic", "sqlalchemy"} & set(re.findall(r"'([\w.]+)'", done.stdout))


def test_the_core_imports_none_of_ansible_pyinfra_fabric() -> None:
    code = (
        "import sys, gpubox.errors, gpubox.profile_check, gpubox.gguf, gpubox.render, gpubox.bench.session, gpubox.results.store\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'ansible', 'pyinfra', 'fabric'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_no_verb_prints_the_help_and_is_a_usage_error(console: Console) -> None:
    done = console.run()
    assert done.returncode == 2
    assert all(re.search(rf"(?m)^    {verb}( |$)", done.stderr) for verb in VERBS)


def test_an_unknown_verb_is_a_usage_error(console: Console) -> None:
    done = console.run("chekc")
    assert done.returncode == 2
    assert "invalid choice: 'chekc'" in done.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(console: Console, verb: str) -> None:
    done = console.run(verb, "--help")
    assert done.returncode == 0
    assert f"\nexample:\n  gpubox {verb}" in done.stdout


@pytest.mark.parametrize("line", [line[2:] for line in README.splitlines() if line.startswith("$ gpubox ")])
def test_every_command_of_the_readme_is_understood(console: Console, line: str) -> None:
    for command in re.split(r"[;>]", line.split("  #", maxsplit=1)[0]):
        words = shlex.split(command)
        if words and words[0] == "gpubox":
            assert console.run(*words[1:], "--help").returncode == 0


def test_check_names_all_faults_of_all_profiles_once(console: Console) -> None:
    profiles = console.folder / "inventory" / "profiles"
    (profiles / "base.yml").write_text("model: {path: /m.gguf}\nserver: {ctx_size: -1}\n")
    for name in ("a", "b"):
        (profiles / f"{name}.yml").write_text("extends: base\n")
    (profiles / "good.yml").write_text("model: {path: /m.gguf}\n")
    done = console.run("check")
    assert done.returncode == 1
    assert done.stderr == "inventory/profiles/base.yml: server.ctx_size: must be at least 0 (got -1)\n"
    assert done.stdout == "1 of 4 profiles are valid\n"


def test_check_as_json_has_an_entry_for_each_profile(console: Console) -> None:
    (console.folder / "good.yml").write_text("model: {path: /m.gguf}\n")
    (console.folder / "bad.yml").write_text("model: {path: m.gguf}\n")
    done = console.run("check", "good.yml", "bad.yml", "--json")
    assert done.returncode == 1
    good, bad = json.loads(done.stdout)["profiles"]
    assert (good["profile"], len(good["hash"]), good["errors"]) == ("good", 64, [])
    assert (bad["profile"], bad["hash"]) == ("bad.yml", None)
    assert bad["errors"] == ['bad.yml: model.path: must be an absolute path on the box (got "m.gguf")']


def test_check_knows_the_engines_flags(console: Console) -> None:
    (console.folder / "p.yml").write_text('model: {path: /m.gguf}\nextra_args: ["--fit-margn", "512"]\n')
    done = console.run("check", "p.yml")
    assert done.returncode == 1
    assert (
        done.stderr.splitlines()[0] == "p.yml: extra_args[0]: --fit-margn: unknown option; did you mean --fit-margin?"
    )


def test_check_refuses_what_a_unit_can_not_carry(console: Console) -> None:
    (console.folder / "p.yml").write_text('model: {path: /m.gguf}\nextra_args: ["--grammar", ""]\n')
    done = console.run("check", "p.yml")
    assert done.returncode == 1
    assert done.stderr == (
        "p.yml: p: argument 10 (''): Podman's generator drops an empty argument and all that follow; "
        "leave it out, or render the systemd or command form\n"
    )


def test_check_without_profiles_says_where_it_looked(console: Console) -> None:
    done = console.run("check")
    assert (done.returncode, done.stderr) == (
        1,
        f"gpubox: {console.folder}/inventory/profiles: holds no profiles; name a file, or add NAME.yml\n",
    )


def test_render_gives_one_argv_in_three_forms(console: Console) -> None:
    argv = [r"blk\.(3|4)\.ffn_.*=CUDA0", '{"a": "b c"}', "100% $HOME `x` \\ 'y'"]
    (console.folder / "p.yml").write_text(f"model: {{path: /m.gguf}}\nextra_args: {json.dumps(['-ot', *argv])}\n")
    found = {}
    for form in ("quadlet", "systemd", "command"):
        done = console.run("render", "p.yml", "--format", form, "--json")
        assert done.returncode == 0, done.stderr
        document = json.loads(done.stdout)
        found[document["file"]] = document["argv"]
    assert list(found) == ["p.container", "p.service", "p.sh"]
    assert all(words[-3:] == argv for words in found.values())


def test_render_for_an_unknown_box_names_the_nearest(console: Console) -> None:
    (console.folder / "p.yml").write_text("model: {path: /m.gguf}\n")
    (console.folder / "inventory" / "boxes.yml").write_text("all: {hosts: {big-box: {}}}\n")
    done = console.run("render", "p.yml", "--host", "big-bx")
    assert (done.returncode, done.stderr) == (
        1,
        f"gpubox: big-bx: no such host in {console.folder}/inventory; did you mean big-box?\n",
    )


def test_a_box_variable_of_the_wrong_type_is_named(console: Console) -> None:
    (console.folder / "p.yml").write_text("model: {path: /m.gguf}\n")
    (console.folder / "inventory" / "boxes.yml").write_text("all: {hosts: {b: {gpubox_selinux_relabel: 3}}}\n")
    done = console.run("render", "p.yml", "--host", "b")
    assert (done.returncode, done.stderr) == (1, "gpubox: b: gpubox_selinux_relabel: must be true or false (got 3)\n")


def test_a_reader_that_stops_reading_is_no_error(console: Console) -> None:
    pipe = f"{shlex.quote(str(GPUBOX))} check --json-schema | head -1"
    done = subprocess.run(["sh", "-c", pipe], cwd=console.folder, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("{\n", "")
