"""What disturbed a run is said with its reason, and what a token cost is computed from the power that was drawn."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpubox.telemetry.judgement import doubts, energy_of_tokens, in_words, joules, not_quiet, used_gpus
from gpubox.telemetry.readings import App
from results.records import a_sample
from telemetry.ticks import BOOT, UUIDS, a_gpu, a_reading, seconds

POWERS = st.lists(st.floats(0, 600), min_size=2, max_size=20)


def test_an_undisturbed_run_has_no_doubts() -> None:
    own = (App(UUIDS[0], 42, "llama-server", "glm"),)
    assert doubts(seconds(10, apps=own), "glm") == []


def test_a_slowed_gpu_is_told_with_its_reason() -> None:
    hot = seconds(10, gpus=(a_gpu(throttled_by=("temperature (driver)",)),))
    assert doubts(hot, "glm") == ["throttled: temperature (driver)"]


def test_a_gpu_that_is_slowed_for_a_moment_or_is_not_used_raises_no_doubt() -> None:
    hot = a_reading(0, gpus=(a_gpu(0, throttled_by=("power cap",)), a_gpu(1)))
    assert doubts([hot, *seconds(40)[1:]], "glm") == []
    assert doubts([hot, replace(hot, at=hot.at + 1)], "glm", gpus={1}) == []


def test_a_process_of_somebody_else_on_a_gpu_is_told() -> None:
    theirs = (App(UUIDS[1], 77, "python3", "session-3"), App(UUIDS[0], 42, "llama-server", "glm"))
    flag = "shared-box: python3 (pid 77, session-3) holds memory of a GPU"
    assert doubts([*seconds(3), a_reading(3, apps=theirs)], "glm") == [flag]


def test_cores_that_others_keep_busy_are_told_and_the_engines_own_are_not() -> None:
    busy = [a_reading(second, busy_s=3.5 * second, engine_s=2.0 * second) for second in range(10)]
    assert doubts(busy, "glm") == ["shared-box: others kept 1.5 cores busy"]


def test_a_gpu_that_is_no_longer_told_of_is_lost() -> None:
    gone = [a_reading(second, gpus=(), gpu_fault="GPU is lost") for second in range(5, 9)]
    assert doubts([*seconds(5), *gone], "glm") == ["gpu-lost: GPU 0: GPU is lost", "gpu-lost: GPU 1: GPU is lost"]


def test_a_gpu_that_was_lost_before_the_run_is_told_too() -> None:
    gone = [a_reading(second, gpus=(), gpu_fault="GPU is lost") for second in range(3)]
    assert doubts(gone, "glm") == []
    assert doubts(gone, "glm", {0}, {0}) == ["gpu-lost: GPU 0: GPU is lost"]
    assert doubts([], "glm", {0}, {0}) == []


def test_a_box_that_works_before_it_is_measured_is_not_quiet() -> None:
    idle = [a_reading(second, busy_s=0.1 * second, gpus=(a_gpu(utilisation=0.0),)) for second in range(3)]
    assert not_quiet(idle) == []
    assert not_quiet(seconds(3)) == ["1.0 cores are busy", "GPU 0 is busy 97 %", "GPU 1 is busy 97 %"]


@given(POWERS, st.floats(0, 1), st.floats(0, 1))
def test_the_energy_of_two_parts_is_that_of_the_whole(watts: list[float], a: float, b: float) -> None:
    power = list(enumerate(watts))
    begin, end = sorted((a * (len(watts) - 1), b * (len(watts) - 1)))
    parts = (joules(power, 0, begin), joules(power, begin, end), joules(power, end, len(watts) - 1))
    whole = joules(power, 0, len(watts) - 1)
    assert None not in parts
    assert sum(part or 0.0 for part in parts) == pytest.approx(whole, abs=1e-6)


@given(st.floats(0, 600), st.integers(2, 9), st.floats(0, 1), st.floats(0, 1))
def test_a_constant_power_gives_power_times_time(watts: float, count: int, a: float, b: float) -> None:
    begin, end = sorted((a * (count - 1), b * (count - 1)))
    assert joules([(second, watts) for second in range(count)], begin, end) == pytest.approx(watts * (end - begin))


def test_energy_is_not_guessed_where_power_is_not_known() -> None:
    assert joules([(0.0, 300.0), (1.0, 300.0)], 0.5, 1.5) is None
    assert joules([(0.0, 300.0), (1.0, 300.0)], -0.5, 0.5) is None
    assert joules([], 0, 1) is None
    assert energy_of_tokens([a_sample(0)], seconds(20, gpus=(a_gpu(power_w=None),))) is None


def test_a_token_costs_the_power_of_the_used_gpus_over_tg() -> None:
    both, one = seconds(40), {0}
    samples = [a_sample(0, tg=20.0), a_sample(0, tg=20.0, faults=("cached",))]
    for gpus, watts in ((None, 600.0), (one, 300.0)):
        found = energy_of_tokens(samples, both, gpus)
        assert found is not None
        assert found.joules == pytest.approx(watts / 20, rel=0.01)
        assert found.watts == pytest.approx(watts)


def test_a_sample_of_this_machines_gpus_brings_its_energy_itself() -> None:
    samples = [a_sample(0, tg=20.0, extra={"tg_joules": 500.0}), a_sample(1, tg=20.0)]
    found = energy_of_tokens(samples, [])
    assert found is not None
    assert found.joules == 500 / (samples[0].delivered_n - 1)
    assert samples[0].ttft_ms is not None
    assert found.watts == pytest.approx(500e3 / (samples[0].e2e_ms - samples[0].ttft_ms))


def test_readings_link_to_samples_by_time() -> None:
    later = [a_reading(second + 3600) for second in range(40)]
    assert later[0].at == BOOT + 3600
    assert energy_of_tokens([a_sample(0)], later) is None


def test_a_profiles_gpus_are_found_by_index_and_uuid() -> None:
    present = [{"index": index, "uuid": uuid} for index, uuid in enumerate(UUIDS)]
    assert [used_gpus(wanted, present) for wanted in ("all", "none", [1], [UUIDS[0]])] == [{0, 1}, set(), {1}, {0}]


def test_a_run_is_put_in_words() -> None:
    assert in_words(seconds(3), {1}) == [
        "GPU 1: 300 W, 2400 MHz at least, 61 °C at most, 97 % busy, 90000 MiB",
        "host: 1.0 cores busy, page cache 204800 MiB",
    ]
    assert in_words([]) == []
