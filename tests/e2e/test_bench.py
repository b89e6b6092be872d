"""What is deployed on a box is measured through a tunnel, and what served before serves again, whatever happens."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from e2e.benching import SPEEDS, BenchingBox
from gpubox.results.store import Store
from gpubox.results.telemetry import readings_of
from gpubox.telemetry.judgement import energy_of_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lab.lab import Lab

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

EFFORT = ("--pp", "256", "--tg", "64", "--reps", "3")
LONG = ("--pp", "256", "--tg", "64", "--reps", "200", "--target", "0.001")


@pytest.fixture(scope="module")
def box(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BenchingBox]:
    made = BenchingBox(lab, tmp_path_factory.mktemp("operator"))
    yield made
    lab.remove(made.box)


def test_each_profile_is_measured_and_the_first_serves_again(box: BenchingBox) -> None:
    box.box.run("touch /run/hot")
    status, printed, told = box.bench("one", "two", "--interleave", *EFFORT, "--json")
    box.box.run("rm /run/hot")
    assert (status, told) == (0, "")
    answer = json.loads(printed)
    assert box.measured(answer["batch"]) == ["one", "two", "one", "two"]
    assert (box.operator.serving(), box.note()) == (["one"], "")
    digest = box.box.run("podman image inspect --format '{{.Digest}}' localhost/two:e2e").stdout.strip()
    unit = box.box.run("sha256sum /etc/containers/systemd/two.container").stdout.split()[0]
    with Store.open(box.db) as store:
        for run in store.runs(batch=answer["batch"]):
            samples, readings = store.samples(run.id), readings_of(store, run.id)
            pp, tg = SPEEDS[run.profile or ""]
            valid = [sample for sample in samples if sample.valid]
            assert [sample.pp_tps for sample in valid] == pytest.approx([pp] * 3, rel=0.003)
            assert [sample.tg_tps for sample in valid] == pytest.approx([tg] * 3, rel=0.02)
            energy = energy_of_tokens(samples, readings)
            assert energy is not None
            assert energy.joules == pytest.approx(300 / tg, rel=0.02)
            assert "throttled: temperature (driver)" in run.flags
            assert run.host["hostname"] == box.box.name
            assert run.host["driver"] == "580.95.05"
            assert run.endpoint == f"ssh://{box.box.name}/127.0.0.1:8000"
            assert run.argv[2] == "/opt/llama_standin.py"
            if run.profile == "two":
                assert (run.engine["image_digest"], run.engine["unit_sha256"]) == (digest, unit)


def test_a_texts_perplexity_is_measured_in_the_image_while_its_server_is_stopped(box: BenchingBox) -> None:
    workload = box.folder / "quality.yml"
    workload.write_text("max_reps: 1\nmeasure: [{prompt: 64, generate: 16}, {perplexity: essay}]\n")
    status, _, told = box.bench("one", "two", "--workload", str(workload))
    assert status == 0, told
    assert "two: perplexity-essay is left out: its image has no llama-perplexity\n" in told
    found = {(run["profile"], run["workload"]): run for run in box.results()[:3]}
    assert set(found) == {("one", "pp64+tg16"), ("one", "perplexity-essay"), ("two", "pp64+tg16")}
    assert found["one", "perplexity-essay"]["perplexity"] == pytest.approx(4.5, abs=1e-4)
    assert found["one", "perplexity-essay"]["nll"]["n"] == 3
    assert (box.operator.serving(), box.note()) == (["one"], "")


def test_killed_while_a_perplexity_is_measured_nothing_of_it_goes_on(box: BenchingBox) -> None:
    workload = box.folder / "quality.yml"
    workload.write_text("measure: [{perplexity: essay}]\n")
    box.box.run("touch /srv/models/slow")
    process = box.start("one", "--workload", str(workload))
    box.await_line(process, "stopping its server")
    running = "podman ps --quiet --filter name=one-perplexity | grep -q ."
    box.box.run(f"for i in $(seq 100); do {running} && exit 0; sleep 0.2; done; exit 1")
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    box.box.run(f"for i in $(seq 100); do {running} || exit 0; sleep 0.2; done; exit 1")
    box.box.run("rm /srv/models/slow")
    box.await_unlocked()
    status, _, told = box.bench("--restore")
    assert (status, box.operator.serving(), box.note()) == (0, ["one"], ""), told


def test_killed_it_goes_on_with_what_is_missing_and_repeats_nothing(box: BenchingBox) -> None:
    box.kill_while_measuring("two", "one", "two", *EFFORT)
    (half, *_) = box.results()
    assert (half["profile"], half["status"], box.operator.serving()) == ("two", "interrupted", ["two"])
    status, _, told = box.bench("--resume")
    assert status == 0, told
    assert f"{box.box.name}: going on with batch {half['batch']}" in told
    assert "before it one served" in told
    assert box.measured(half["batch"]) == ["one", "two"]
    assert (box.operator.serving(), box.note()) == (["one"], "")


def test_killed_at_random_and_resumed_it_measures_everything_once(box: BenchingBox) -> None:
    """GPUBOX_KILLS says how often; 3 times by default, 100 take a quarter of an hour."""
    moments = random.Random(20261126)
    begin = ["one", "two", "--interleave", *EFFORT]
    Store.open(box.db).close()  # there to be read, however early the first is killed
    before = {run["batch"] for run in box.results()}
    words, batches = begin, set[str]()
    for _ in range(int(os.environ.get("GPUBOX_KILLS", "3"))):
        process = box.start(*words)
        try:
            process.wait(moments.uniform(1, 6))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
        process.communicate(timeout=30)
        box.await_unlocked()
        batches |= {run["batch"] for run in box.results()} - before
        # What has begun is gone on with as long as something is missing; then the next one is begun.
        left = any(len(box.measured(batch)) < 4 for batch in batches)
        words = ["--resume"] if left else begin
    status, _, told = box.bench(*(words if words == begin else ["--resume"]))
    assert status == 0, told
    assert (box.operator.serving(), box.note()) == (["one"], "")
    assert sorted(box.measured(box.results()[0]["batch"])) == ["one", "one", "two", "two"]
    with Store.open(box.db) as store:
        for run in (run for batch in batches for run in store.runs(batch=batch)):
            samples = store.samples(run.id)
            assert [sample.index for sample in samples] == list(range(len(samples)))
            assert len({sample.extra["prompt_sha256"] for sample in samples}) == len(samples)
            assert run.status in {"done", "interrupted"}
    with sqlite3.connect(box.db) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_killed_it_can_be_left_at_that_with_what_served_before(box: BenchingBox) -> None:
    box.kill_while_measuring("two", "two", *EFFORT)
    assert box.operator.serving() == ["two"]
    status, _, told = box.bench("--restore")
    assert (status, box.operator.serving(), box.note()) == (0, ["one"], ""), told
    assert box.bench("--restore")[2].endswith(": no benchmark has left anything to put back\n")


def test_ctrl_c_puts_back_what_served_before(box: BenchingBox) -> None:
    process = box.start("two", *LONG)
    box.await_line(process, r"^two: pp\S+ +1 of")
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert (process.returncode, box.operator.serving(), box.note()) == (130, ["one"], ""), told
    assert box.results()[0]["status"] == "interrupted"


def test_a_second_benchmark_is_told_who_measures(box: BenchingBox) -> None:
    process = box.start("one", *LONG)
    box.await_line(process, "quiet")
    status, _, told = box.bench("two", *EFFORT)
    assert status == 1
    assert f"gpubox: {box.box.name}: a benchmark by " in told
    assert told.endswith(") is under way; wait until it has ended, then ask again\n")
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)


def test_a_cut_cable_delays_it_and_loses_nothing(box: BenchingBox) -> None:
    process = box.start("two", *EFFORT)
    told = box.await_line(process, r"^two: pp\S+ +1 of")
    box.box.cut_network()
    time.sleep(18)  # longer than a connection may be silent
    box.box.restore_network()
    _, more = process.communicate(timeout=120)
    assert process.returncode == 0, told + more
    assert "the connection broke" in more
    last, before, *_ = box.results()
    assert [(run["profile"], run["status"]) for run in (before, last)] == [("two", "failed"), ("two", "done")]
    assert last["batch"] == before["batch"]
    assert (box.operator.serving(), box.note()) == (["one"], "")


def test_a_profile_that_was_changed_and_not_deployed_is_not_measured(box: BenchingBox) -> None:
    file = box.folder / "profiles" / "one.yml"
    text = file.read_text()
    file.write_text(text.replace("ctx_size: 2048", "ctx_size: 1024"))
    status, _, told = box.bench("one", *EFFORT)
    file.write_text(text)
    assert (status, box.operator.serving()) == (1, ["one"])
    fault = f"one: what runs on {box.box.name} is not what the profile says (at 1024); "
    assert f"{fault}run playbooks/profiles.yml, then measure again" in told


def test_a_profile_that_the_box_lacks_is_named_before_anything_is_touched(box: BenchingBox) -> None:
    box.operator.profile("tow", (box.folder / "profiles" / "two.yml").read_text())
    before = box.box.run("systemctl show -P InvocationID one").stdout
    status, _, told = box.bench("tow", *EFFORT)
    assert (status, told.splitlines()[-1]) == (
        1,
        f"gpubox: {box.box.name}: tow is no profile of this box; did you mean two?",
    )
    assert (box.box.run("systemctl show -P InvocationID one").stdout, box.note()) == (before, "")


def test_the_playbook_measures_what_a_box_lists(box: BenchingBox) -> None:
    workload = box.folder / "short.yml"
    workload.write_text("max_reps: 2\nmeasure: [{prompt: 64, generate: 16}]\n")
    told = {"bench_profiles": ["one"], "bench_workload": str(workload), "bench_db": box.db}
    printed = box.operator.play("benchmark.yml", "-e", json.dumps(told))
    assert "changed=0" in printed
    assert (box.results()[0]["profile"], box.results()[0]["workload"]) == ("one", "pp64+tg16")
    printed = box.operator.play("benchmark.yml", "-e", json.dumps(told | {"bench_profiles": ["tow"]}), fails=True)
    assert f"gpubox: {box.box.name}: tow is no profile of this box; did you mean two?" in printed
