"""Real records: GLM-5.2's shapes at full size on H200s, without and with MTP, as `tests/data/records` keeps them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cli.console import Console
from gpubox.page.devices import devices
from gpubox.results.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

BUNDLE = Path(__file__).parents[1] / "data" / "records" / "four-h200.zip"
WITHOUT, ACCEPTED, REFUSED = "box/h200-part1", "box/h200-part1-mtp", "box/h200-part1-mtp-wrong"


def told(console: Console, *words: str) -> str:
    done = console.run(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Console:
    """Return a user's shell whose history has the records."""
    shell = Console(tmp_path_factory.mktemp("recorded"))
    told(shell, "import", str(BUNDLE), "--as", "box")
    return shell


@pytest.fixture
def store(console: Console) -> Iterator[Store]:
    with Store.open(str(console.folder / "state" / "gpubox" / "results.db")) as opened:
        yield opened


def test_the_records_come_in_whole_and_tell_nothing_private(console: Console, store: Store) -> None:
    table = told(console, "results")
    assert [table.count(name) for name in (WITHOUT, "127.0.0.1:18001")] == [6, 2]
    assert "43.77 ±0.20" in table
    hosts = [run.host.get("measured_from", run.host) for run in store.runs()]
    assert {host["hostname"].removeprefix("box/") for host in hosts} == {"host-1"}


def test_mtp_can_never_help_where_a_round_takes_longer_than_its_tokens_alone(console: Console) -> None:
    every = told(console, "verdict", "mtp", WITHOUT, ACCEPTED)
    assert "pp2048+tg128: MTP hurts by 25.5 % (95 % CI 20.0 to 30.6); it can never help here" in every
    none = told(console, "verdict", "mtp", WITHOUT, REFUSED)
    assert "MTP hurts by 84.4 %" in none
    # Both ends of the line: the time of a round does not depend on what is accepted.
    rounds = [_round_ms(text) for text in (every, none)]
    assert rounds[0] == pytest.approx(rounds[1], rel=0.02)


def _round_ms(table: str) -> float:
    row = next(line for line in table.splitlines() if line.startswith("pp2048+tg128 "))
    return float(row.split()[-2])


def test_memory_was_as_planned(store: Store) -> None:
    planned = [run for run in store.runs() if run.host.get("planned_mib")]
    shown = [devices(run, store.samples(run.id)) for run in planned if run.status == "done"]
    assert len(shown) == 5
    for found in shown:
        gpus = [device for device in found if device.name != "CUDA_Host"]
        assert [gpu.name for gpu in gpus] == ["CUDA0", "CUDA1"]
        for gpu in gpus:
            assert gpu.planned_mib == pytest.approx(gpu.measured_mib, rel=0.0001)


def test_what_a_gpu_did_before_a_run_is_no_input(console: Console) -> None:
    found = told(console, "compare", WITHOUT, ACCEPTED)
    assert "profile.speculative[0].n_max" in found
    assert "gpu_states" not in found
