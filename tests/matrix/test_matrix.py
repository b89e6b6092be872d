"""A matrix over a base profile becomes profiles like any other."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpubox.errors import DocumentError
from gpubox.matrix import HEADER, Derived, expand, load_derived, read_matrix, write_derived
from gpubox.profile_files import load_profile

BASE = "model: {path: /m.gguf}\nengine: {name: ik_llama}\nserver: {ctx_size: 4096, mla_use: 3}\n"
MATRIX = """
base: glm
axes:
  speculative: {plain: null, mtp2: [{type: mtp, n_max: 2, p_min: 0.5}]}
  ubatch_size: [512, 2048]
"""


@pytest.fixture
def inventory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An inventory with the base profile, in the current folder."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "inventory" / "profiles"
    folder.mkdir(parents=True)
    (folder / "glm.yml").write_text(BASE)
    return folder


def matrix(text: str) -> list[Derived]:
    path = Path("matrix.yml")
    path.write_text(text)
    return read_matrix(path)


def test_each_combination_extends_the_base_and_sets_one_value_of_each_axis(inventory: Path) -> None:
    derived = matrix(MATRIX)
    assert [one.name for one in derived] == [
        "glm-plain-ubatch_size512",
        "glm-plain-ubatch_size2048",
        "glm-mtp2-ubatch_size512",
        "glm-mtp2-ubatch_size2048",
    ]
    write_derived(derived, inventory)
    assert (inventory / "glm-mtp2-ubatch_size512.yml").read_text() == (
        f"{HEADER}extends: glm\ndescription: glm with speculative mtp2, ubatch_size ubatch_size512\n"
        "speculative:\n- type: mtp\n  n_max: 2\n  p_min: 0.5\nserver:\n  ubatch_size: 512\n"
    )
    loaded = load_profile("glm-mtp2-ubatch_size512").profile
    assert (loaded.server.ubatch_size, loaded.server.mla_use, len(loaded.speculative)) == (512, 3, 1)


def test_an_axis_of_drafting_is_written_as_one_says_it(inventory: Path) -> None:
    derived = matrix(
        'base: glm\naxes:\n  speculative: ["off", {type: mtp, n_max: [1, 2, 3, 4], p_min: [0, 0.5]}]\n  mla: [1, 3]\n'
    )
    drafting = [f"mtp-n_max{n}-p_min{p}" for n in (1, 2, 3, 4) for p in ("0", "0.5")]
    assert [one.name for one in derived] == [f"glm-{label}-mla{mla}" for label in ["off", *drafting] for mla in (1, 3)]
    assert len(load_derived(derived)) == 18
    write_derived(derived, inventory)
    loaded = load_profile("glm-mtp-n_max3-p_min0.5-mla1").profile
    (stage,) = loaded.speculative
    assert (stage.type, stage.n_max, stage.p_min, loaded.server.mla_use) == ("mtp", 3, 0.5, 1)


@given(
    st.dictionaries(
        st.sampled_from("abc"), st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True), min_size=1
    )
)
def test_there_are_as_many_profiles_as_combinations_and_no_two_have_one_name(axes: dict[str, list[int]]) -> None:
    derived = expand("base", axes)
    count = 1
    for values in axes.values():
        count *= len(values)
    assert len({one.name for one in derived}) == len(derived) == count


def test_combinations_that_serve_the_same_are_measured_once(inventory: Path) -> None:
    assert inventory.exists()
    loaded = load_derived(matrix("base: glm\naxes: {mla_use: {three: 3, base: 3, one: 1}}"))
    assert [one.name for one in loaded] == ["glm-three", "glm-one"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base: glm\naxes: {ubach_size: [512]}", "glm-ubach_size512: server.ubach_size: unknown field; did you mean ubatch_size?"),
        ("base: glm\naxes: {mla_use: [9]}", "glm-mla_use9: server.mla_use: must be at most 3 (got 9)"),
        ("base: gml\naxes: {mla_use: [1]}", "gml-mla_use1: extends: no such profile (got gml); did you mean glm?"),
    ],
)  # fmt: skip  # a row a fault
def test_a_faulty_combination_is_named(inventory: Path, text: str, message: str) -> None:
    assert inventory.exists()
    with pytest.raises(DocumentError) as error:
        load_derived(matrix(text))
    assert str(error.value).splitlines()[0] == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("base: glm", "matrix.yml: axes: is required"),
        ("base: glm\naxes: {mla_use: []}", "matrix.yml: axes.mla_use"),
        ("base: glm\naxes: {mla_use: [1]}\nhost: x", "matrix.yml: host: unknown field"),
    ],
)
def test_a_faulty_matrix_is_refused(inventory: Path, text: str, message: str) -> None:
    assert inventory.exists()
    with pytest.raises(DocumentError) as error:
        matrix(text)
    assert str(error.value).startswith(message)


def test_too_many_combinations_are_refused(inventory: Path) -> None:
    assert inventory.exists()
    with pytest.raises(DocumentError) as error:
        matrix(f"base: glm\naxes: {{ubatch_size: {list(range(501))}}}")
    assert str(error.value) == "matrix.yml: axes: give 501 profiles, and 500 are the most; leave values out"


def test_a_file_of_ones_own_is_not_overwritten_and_a_matrixs_is(inventory: Path) -> None:
    derived = matrix("base: glm\naxes: {mla_use: [1]}")
    write_derived(derived, inventory)
    write_derived(derived, inventory)
    mine = inventory / "glm-mla_use1.yml"
    mine.write_text(BASE)
    with pytest.raises(DocumentError) as error:
        write_derived(derived, inventory)
    assert str(error.value) == (
        "inventory/profiles/glm-mla_use1.yml: is not a matrix's, and is in its way; "
        "rename it, or call the axis's value otherwise"
    )
    assert mine.read_text() == BASE
