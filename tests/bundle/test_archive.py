"""A bundle: what is in it, that it comes back as it was, and what is said of a file that is none."""

from __future__ import annotations

import json
import re
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from cli.console import Console
from gpubox.bundle.archive import read_bundle, write_bundle
from gpubox.errors import DocumentError, GpuboxError
from gpubox.results.store import Store
from results.records import a_run, a_sample, keep, series

if TYPE_CHECKING:
    from pathlib import Path

COMMIT = "29a54f4b04cc0281850574247db075e20d68e7f1"
RUN = a_run(
    "r1",
    status="done",
    flags=(),
    finished_at="2026-03-01T12:30:00+00:00",
    profile_document={"engine": {"name": "ik_llama", "commit": COMMIT}, "server": {"ctx_size": 131072}},
    argv=("llama-server", "--api-key", "topsecret", "-m", "/home/kaz/x.gguf"),
)
SAMPLES = [a_sample(0, kind="warmup"), *(replace(s, index=i + 1) for i, s in enumerate(series([20.0, 21.0, 22.0])))]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    log = tmp_path / "glm.log"
    log.write_text("loading on box1\nkey: hf_abcdefghijklmnopqrst\n")
    write_bundle(tmp_path / "mtp.zip", [(RUN, SAMPLES)], {"glm": log})
    return tmp_path / "mtp.zip"


def test_a_bundle_holds_records_profile_catalogue_and_log_without_secrets(bundle: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        texts = {name: archive.read(name).decode() for name in archive.namelist()}
    assert list(texts) == [
        "bundle.json",
        "runs.jsonl",
        "profiles/glm.yml",
        "catalogues/ik_llama-29a54f4.json",
        "logs/glm.log",
    ]
    assert texts["profiles/glm.yml"] == (
        f"engine:\n  name: ik_llama\n  commit: {COMMIT}\nserver:\n  ctx_size: 131072\n"
    )
    assert texts["logs/glm.log"] == "loading on host-1\nkey: KEY\n"
    assert json.loads(texts["runs.jsonl"])["argv"] == ["llama-server", "--api-key", "KEY", "-m", "/home/user/x.gguf"]
    everything = "".join(texts.values())
    assert [secret for secret in ("box1", "kaz", "topsecret", "hf_abc") if secret in everything] == []


def test_equal_runs_make_equal_files(bundle: Path) -> None:
    again = bundle.with_name("again.zip")
    write_bundle(again, [(RUN, SAMPLES)], {"glm": bundle.with_name("glm.log")})
    assert again.read_bytes() == bundle.read_bytes()


def test_what_comes_back_is_what_was_measured_under_a_label(bundle: Path) -> None:
    ((run, samples),) = read_bundle(bundle, "kaz")
    assert samples == SAMPLES
    assert (run.id, run.profile, run.batch, run.host["hostname"]) == ("r1", "kaz/glm", "kaz/batch-1", "kaz/host-1")
    assert replace(run, profile="glm", batch=RUN.batch, host=RUN.host, argv=RUN.argv) == RUN


def test_imported_runs_are_kept_once_and_compare_with_ones_own(bundle: Path) -> None:
    console = Console(bundle.parent)
    with Store.open(str(console.folder / "own.db")) as store:
        keep(store, replace(RUN, id="own"), series([30.0, 31.0, 32.0]))
    for said in (
        "1 runs taken in, 0 were there already: mtp/glm\n",
        "0 runs taken in, 1 were there already: mtp/glm\n",
    ):
        done = console.run("import", "mtp.zip", "--db", "own.db")
        assert (done.returncode, done.stdout) == (0, said), done.stderr
    compared = console.run("compare", "mtp/glm", "glm", "--db", "own.db")
    assert compared.returncode == 0, compared.stderr
    assert "B is faster by 47.6 %" in compared.stdout
    with Store.open(str(console.folder / "own.db")) as store:
        assert (store.run("r1").status, store.run("r1").finished_at) == ("done", RUN.finished_at)
        assert store.samples("r1") == SAMPLES


def test_the_command_shares_what_a_name_stands_for(tmp_path: Path) -> None:
    console = Console(tmp_path)
    with Store.open(str(tmp_path / "own.db")) as store:
        keep(store, RUN, SAMPLES)
    done = console.run("share", "glm", "--db", "own.db", "--output", "mine.zip")
    assert (done.returncode, done.stderr) == (0, "mine.zip: 1 runs; look into it before you send it\n")
    assert [run.id for run, _ in read_bundle(tmp_path / "mine.zip", "me")] == ["r1"]


def changed(bundle: Path, contents: dict[str, str], *, digests: bool = True) -> Path:
    """Return a bundle with another content of some of its files, or with more; without digests as once was usual."""
    other = bundle.with_name("other.zip")
    with zipfile.ZipFile(bundle) as old, zipfile.ZipFile(other, "w") as new:
        texts: dict[str, str | bytes] = {item: old.read(item) for item in old.namelist()}
        if not digests:
            manifest = json.loads(texts["bundle.json"])
            texts["bundle.json"] = json.dumps({key: value for key, value in manifest.items() if key != "sha256"})
        for item, text in (texts | contents).items():
            new.writestr(item, text)
    return other


def refusal(file: Path) -> str:
    with pytest.raises(DocumentError) as caught:
        read_bundle(file, "x")
    return str(caught.value).replace(str(file), "FILE")


def test_a_file_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.zip"
    file.write_text("hello")
    assert refusal(file) == "FILE: is not a bundle of gpubox; make one with gpubox share"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("something", "else")
    assert refusal(file) == "FILE: is not a bundle of gpubox; make one with gpubox share"
    with pytest.raises(GpuboxError) as caught:
        read_bundle(tmp_path / "none.zip", "x")
    assert str(caught.value) == f"{tmp_path}/none.zip: can't be read (No such file or directory); check the path"


ANEW = "fetch it again, or let it be made anew with gpubox share"


def test_a_bundle_of_a_newer_gpubox_is_refused(bundle: Path) -> None:
    for manifest, remedy in (
        ('{"format": 2, "gpubox": "9.0"}', "install gpubox 9.0 or newer"),
        ('{"format": 2}', "install gpubox of today or newer"),
    ):
        file = changed(bundle, {"bundle.json": manifest})
        assert refusal(file) == f"FILE: format: must be 1 (got 2); {remedy}"


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_bundle_that_is_cut_off_is_refused(bundle: Path, share: float) -> None:
    data = bundle.read_bytes()
    bundle.write_bytes(data[: int(len(data) * share)])
    assert refusal(bundle) == f"FILE: is cut off or damaged; {ANEW}"


def test_a_bundle_with_a_flipped_byte_anywhere_is_refused_and_never_half_read(bundle: Path) -> None:
    data = bundle.read_bytes()
    whole = read_bundle(bundle, "kaz")
    for place in range(0, len(data), 97):
        bundle.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        try:
            found = read_bundle(bundle, "kaz")
        except GpuboxError as error:
            assert str(bundle) in str(error)  # noqa: PT017  # some bytes mean nothing, such as a date
        else:
            assert found == whole


def test_a_file_in_a_bundle_that_was_changed_added_or_taken_away_is_named(bundle: Path) -> None:
    with zipfile.ZipFile(bundle) as archive:
        records = archive.read("runs.jsonl").decode()
    file = changed(bundle, {"runs.jsonl": records.replace('"status": "done"', '"status": "failed"'), "more.txt": "x"})
    assert refusal(file) == (
        f"FILE: runs.jsonl: was changed after it was written; {ANEW}\nFILE: more.txt: was added after it was written; {ANEW}"
    )
    with zipfile.ZipFile(bundle) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            if name != "runs.jsonl":
                new.writestr(name, old.read(name))
    assert refusal(file) == f"FILE: runs.jsonl: was changed after it was written; {ANEW}"


@pytest.mark.parametrize("name", ["../x", "/etc/x", "logs/../../x", "..\\x", "C:x"])
def test_a_path_that_leads_out_of_a_bundle_is_refused(bundle: Path, name: str) -> None:
    file = changed(bundle, {name: "evil"})
    got = json.dumps(name)
    assert refusal(file) == f"FILE: holds a file whose path leads out of it (got {got}); make one with gpubox share"


def test_of_a_bundle_that_is_refused_nothing_is_taken_in(bundle: Path) -> None:
    console = Console(bundle.parent)
    with zipfile.ZipFile(bundle) as archive:
        records = archive.read("runs.jsonl").decode()
    changed(bundle, {"runs.jsonl": records + '{"id": "r2"'}, digests=False)
    done = console.run("import", "other.zip", "--db", "own.db")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("gpubox: other.zip: runs.jsonl: line 2: not a run as `gpubox export --format jsonl`")
    assert done.stderr.endswith(f"; {ANEW}\n")
    assert not (bundle.parent / "own.db").exists()


def test_imported_under_another_name_the_runs_that_are_there_are_told_by_the_name_they_have(bundle: Path) -> None:
    console = Console(bundle.parent)
    console.run("import", "mtp.zip", "--as", "kaz", "--db", "own.db")
    done = console.run("import", "mtp.zip", "--as", "mia", "--db", "own.db")
    assert done.stdout == "0 runs taken in, 1 were there already: kaz/glm\n"


def test_what_was_planted_in_records_profile_and_log_is_not_in_the_bundle(tmp_path: Path) -> None:
    secrets = {
        "host": "tower.home.arpa",
        "user": "mia",
        "address": "192.168.7.20",
        "address6": "fd00:1:2::17",
        "key": "topsecret-1",
        "token": "hf_plantedplantedplanted",
        "password": "topsecret-2",
        "mail": "mia@example.org",
    }
    words = (
        "see {user}@{host} or {host} at {address} [{address6}], /home/{user}/x, Bearer {key}, HF_TOKEN={token}, "
        "https://{user}:{password}@{host}/x, {mail}"
    ).format(**secrets)
    run = replace(
        RUN,
        endpoint=f"ssh://{secrets['host']}/127.0.0.1:8000",
        host={"hostname": secrets["host"], "note": words},
        reason=words,
        flags=(f"shared-box: {words}",),
        model={"path": f"/home/{secrets['user']}/x.gguf", "token": secrets["key"]},
        profile_document={"description": words, "server": {"alias": words}},
        argv=("llama-server", "--api-key", secrets["key"], "--note", words),
    )
    samples = [replace(sample, extra={"answer": words, words: [words]}, faults=(words,)) for sample in SAMPLES]
    log = tmp_path / "glm.log"
    log.write_text(words + "\n")
    write_bundle(tmp_path / "x.zip", [(run, samples)], {"glm": log})
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        everything = "".join(archive.read(name).decode() for name in archive.namelist())
    found = {name for name, secret in secrets.items() if re.search(rf"(?<!\w){re.escape(secret)}", everything)}
    assert found == set()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"profile": 7}, "FILE: runs.jsonl: profile: is not as gpubox writes it (Input should be a valid string)"),
        ({"samples": 3}, "FILE: runs.jsonl: line 1: not a run as `gpubox export --format jsonl` writes it (TypeError: 'int' object is not iterable)"),
        ({"profile": "\x1b[2J"}, 'FILE: runs.jsonl: a name holds control characters (got "\\u001b[2J")'),
    ],
    ids=["a wrong type", "no samples", "control characters"],
)  # fmt: skip  # whole messages
def test_a_record_that_gpubox_did_not_write_is_refused(bundle: Path, change: dict[str, object], message: str) -> None:
    with zipfile.ZipFile(bundle) as archive:
        record = json.loads(archive.read("runs.jsonl"))
    file = changed(bundle, {"runs.jsonl": json.dumps(record | change)}, digests=False)
    assert refusal(file) == f"{message}; {ANEW}"
