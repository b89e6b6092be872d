"""A pattern stands for the profiles that a box has and can hold; published values stand under the measured ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gpubox.box import box_of
from gpubox.cli.bench_choice import chosen_profiles, print_published
from gpubox.errors import GpuboxError
from gpubox.results.summary import summarise
from results.records import a_run, a_sample

if TYPE_CHECKING:
    from pathlib import Path

    from gpubox.record import Run, Sample

PROFILE = "model: {path: /m.gguf}\nengine: {name: ik_llama}\n"


class Told(list[str]):
    """A watcher that remembers what it was told."""

    def say(self, text: str) -> None:
        self.append(text)

    def sample(self, run: Run, sample: Sample) -> None:
        """Nothing is measured here."""


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GPUBOX_INVENTORY", str(tmp_path))
    (tmp_path / "profiles").mkdir()
    for name in ("glm-a", "glm-b", "glm-c", "other"):
        (tmp_path / "profiles" / f"{name}.yml").write_text(PROFILE)
    return tmp_path


def chosen(words: list[str], deployed: list[str]) -> tuple[list[str], list[str]]:
    told = Told()
    variables: dict[str, Any] = {"gpubox_profiles": deployed}
    return chosen_profiles(words, box_of("box-1", variables), variables, told), list(told)


@pytest.mark.usefixtures("inventory")
def test_a_pattern_leaves_out_what_is_not_deployed_and_says_so() -> None:
    assert chosen(["glm-*"], ["glm-c", "glm-a"]) == (
        ["glm-a", "glm-c"],
        ["glm-b is left out: it is not in gpubox_profiles of box-1"],
    )


@pytest.mark.usefixtures("inventory")
def test_names_and_patterns_may_stand_side_by_side_and_nothing_is_measured_twice() -> None:
    assert chosen(["other", "glm-[ab]", "glm-*"], ["glm-a", "glm-b", "glm-c", "other"])[0] == [
        "other",
        "glm-a",
        "glm-b",
        "glm-c",
    ]


@pytest.mark.usefixtures("inventory")
def test_a_pattern_for_nothing_is_refused() -> None:
    with pytest.raises(GpuboxError) as caught:
        chosen(["llama-*"], ["glm-a"])
    assert str(caught.value) == (
        "llama-*: stands for no profile that box-1 could serve; "
        "list profiles in gpubox_profiles of box-1; `gpubox check` shows those of the inventory"
    )


def test_what_does_not_fit_is_left_out_with_the_reason(inventory: Path) -> None:
    from pathlib import Path

    shipped = Path(__file__).parents[2] / "inventory" / "profiles"
    for file in shipped.glob("glm-5.2-1.630bpw*.yml"):
        (inventory / "profiles" / file.name).write_text(file.read_text("utf-8"))
    names = [file.stem for file in shipped.glob("glm-5.2-1.630bpw*.yml")]
    told = Told()
    variables: dict[str, Any] = {"gpubox_profiles": names, "gpubox_gpu_memory": "24GB", "gpubox_ram": "64GB"}
    with pytest.raises(GpuboxError):
        chosen_profiles(["glm-5.2-*"], box_of("small", variables), variables, told)
    assert len(told) == len(names)
    assert all(" is left out: CUDA0 lacks " in text for text in told)


def test_published_values_stand_under_the_measured_ones(capsys: pytest.CaptureFixture[str]) -> None:
    published = {"tg_tps": [15, 22], "acceptance": [0.25, 0.56], "source": "a write-up"}
    run = a_run(status="done", profile_document={"published": published})
    print_published(
        [summarise(run, [a_sample(index) for index in range(3)]), summarise(a_run("other", profile="x"), [])]
    )
    assert [line.split() for line in capsys.readouterr().out.splitlines() if line] == [
        ["Measured,", "and", "under", "it", "what", "was", "published:"],
        ["PROFILE", "WORKLOAD", "PP", "T/S", "TG", "T/S", "TTFT", "MS", "DRAFT", "ACCEPTANCE", "N"],
        ["glm", "pp2048+tg128", "400.0", "±0.0", "20.00", "±0.00", "5130", "±0", "0.50", "3"],
        ["published:", "a", "write-up", "-", "15", "to", "22", "-", "0.25", "to", "0.56", "-"],
    ]
