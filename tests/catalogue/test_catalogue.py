"""The shipped catalogue of ik_llama.cpp 29a54f4, and how command lines fall apart by it."""

from __future__ import annotations

import re
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpubox.catalogue import Catalogue, Option, canonical, check_argv, words
from gpubox.errors import GpuboxError

IK = Catalogue.load("ik_llama", "29a54f4")

# Command lines with which GLM-5.2 was served and measured.
SERVED = {
    "1.630bpw, full GPU, MTP on": """
        -m /models/GLM-5.2-GGUF-1.630bpw.gguf --merge-qkv --ctx-size 131072 --parallel 1 --threads 15 --threads-batch 15
        -ctk q8_0 -b 8192 -ub 2048 -ngl 80 -mla 3 -muge -ger -amb 512 --temp 0.6 --top-k 20 --top-p 0.95 --jinja
        --reasoning off --host 0.0.0.0 --port 8000 --warmup-batch --alias test-model --spec-type mtp:n_max=4,p_min=0.5""",
    "2.244bpw, split mode graph": """
        -m /models/GLM-5.2-GGUF-2.244bpw.gguf --merge-qkv --ctx-size 102400 --parallel 1 --threads 15 --threads-batch 15
        -ctk q8_0 -b 2048 -ub 2048 -sm graph -ngl 65 -mla 3 -amb 512 -muge -ger --temp 0.6 --top-k 20 --top-p 0.95
        --jinja --reasoning off --host 0.0.0.0 --port 8000 --warmup-batch --alias test-model""",
    "2.244bpw, experts on one GPU": r"""
        -m /models/GLM-5.2-GGUF-2.244bpw.gguf -ngl 99 -cmoe
        -ot 'blk\.([345]|1[0-9]2[0-9]|6[0-9]|7[0-7])\.ffn_.*_exps\.weight=CUDA0'
        -ot 'blk\.6\.ffn_(up|gate)_exps\.weight=CUDA0' -ot 'blk\.(40|41|42)\.ffn_.*_exps\.weight=CUDA0'
        --threads 15 --threads-batch 15 -mla 3 -amb 512 -c 131072 -ctk q8_0 -khad -b 8192 -ub 4096 -wgt 1 -muge --jinja
        --parallel-tool-calls --chat-template-kwargs '{"reasoning_effort": "low"}' --host 0.0.0.0 --port 8000
        --alias test-model""",
    "2.244bpw, the author's placement": r"""
        --no-mmap -ngl 99 -cmoe -sm graph -ot 'blk\.([345])\.ffn_.*_exps\.weight=CUDA0'
        -ot 'blk\.6\.ffn_(up|gate)_exps\.weight=CUDA0' -ot 'blk\.(40|41|42)\.ffn_.*_exps\.weight=CUDA1'
        -mla 1 -amb 512 -c 102400 -ctk q6_0 -khad -b 2048 -ub 2048 -wgt 1 -cram 0 -muge -cuda graphs=1 --jinja
        --parallel-tool-calls --chat-template-kwargs '{"reasoning_effort": "high"}'
        --spec-type mtp:n_max=4,p_min=0.5""",
}


@pytest.mark.parametrize("served", SERVED)
def test_nothing_is_found_in_a_command_line_that_served(served: str) -> None:
    assert check_argv(IK, shlex.split(SERVED[served]), gpus=2) == []


def test_a_catalogue_is_found_by_its_full_or_abbreviated_commit() -> None:
    assert IK.commit == "29a54f4b04cc0281850574247db075e20d68e7f1"
    assert Catalogue.load("ik_llama", IK.commit) == IK


@pytest.mark.parametrize(
    ("engine", "commit"),
    [("llama_cpp", "29a54f4"), ("ik_llama", "29a54f5"), ("ik_llama", "29a54f4f"), ("ik_llama", "29a")],
)
def test_a_build_without_catalogue_is_told_what_there_is(engine: str, commit: str) -> None:
    with pytest.raises(GpuboxError) as error:
        Catalogue.load(engine, commit)
    assert str(error.value) == (
        f"{engine} {commit}: no flag catalogue for this engine and commit; "
        "shipped are: ik_llama 29a54f4; for another build read its llama-server --help"
    )


def test_every_spelling_belongs_to_one_option_and_the_canonical_one_is_long_where_there_is_one() -> None:
    spellings = [name for option in IK.options for name in option.names]
    assert len(spellings) == len(set(spellings)) == 428
    assert len(IK.options) == 299
    for option in IK.options:
        assert option.name.startswith("--") or not any(name.startswith("--") for name in option.names)


def test_every_default_is_of_its_options_kind() -> None:
    defaults = [option for option in IK.options if option.default is not None]
    assert [finding for option in defaults for finding in check_argv(IK, [option.name, f"{option.default}"])] == []


@pytest.mark.parametrize(
    ("flag", "name", "default"),
    [
        ("-c", "--ctx-size", 0),
        ("-ngl", "--n-gpu-layers", -1),
        ("--gpu_layers", "--n-gpu-layers", -1),
        ("-mla", "--mla-use", 3),
        ("-amb", "--attention-max-batch", 0),
        ("-ctk", "--cache-type-k", "f16"),
        ("-cram", "--cache-ram", 8192),
        ("--scheduler_async", "--scheduler-async", None),
    ],
)
def test_an_option_is_found_by_any_spelling(flag: str, name: str, default: object) -> None:
    option = IK.option(flag)
    assert option is not None
    assert (option.name, option.default) == (name, default)


@pytest.mark.parametrize("flag", ["-ctx_size", "ctx-size", "--ctx", "", "-", "--"])
def test_what_is_no_option_is_not_found(flag: str) -> None:
    assert IK.option(flag) is None


def test_an_option_takes_its_values_whatever_they_look_like() -> None:
    argv = ["-ngl", "-1", "--spec-replace", "-a", "--b", "--jinja", "-p", "--jinja", "stray", "-m"]
    assert [(word.index, word.flag, word.values) for word in words(IK, argv)] == [
        (0, "-ngl", ("-1",)),
        (2, "--spec-replace", ("-a", "--b")),
        (5, "--jinja", ()),
        (6, "-p", ("--jinja",)),
        (8, "stray", ()),
        (9, "-m", ()),
    ]


def test_an_option_of_unknown_arity_takes_what_does_not_look_like_an_option() -> None:
    catalogue = Catalogue("ik_llama", "", (Option(("--mla-use", "-mla"), None), Option(("--fit",), ())))
    argv = ["-mla", "3", "-mla", "-1", "-mla", "-.5", "-mla", "--fit", "-mla"]
    expected = [("-mla", ("3",)), ("-mla", ("-1",)), ("-mla", ("-.5",)), ("-mla", ()), ("--fit", ()), ("-mla", ())]
    assert [(word.flag, word.values) for word in words(catalogue, argv)] == expected


def test_spelling_and_order_do_not_change_the_canonical_form() -> None:
    one = ["-c", "4096", "-ngl", "99", "-cmoe", "-ot", "a=CPU", "-ot", "b=CUDA0", "--merge_qkv"]
    other = [
        "--merge-qkv",
        "-ot",
        "a=CPU",
        "--gpu-layers",
        "99",
        "--override-tensor",
        "b=CUDA0",
        "--cpu-moe",
        "--ctx-size",
        "4096",
    ]
    assert canonical(IK, one) == canonical(IK, other)
    assert canonical(IK, one) == [
        ("--cpu-moe", ()),
        ("--ctx-size", ("4096",)),
        ("--merge-qkv", ()),
        ("--n-gpu-layers", ("99",)),
        ("--override-tensor", ("a=CPU",)),
        ("--override-tensor", ("b=CUDA0",)),
    ]


def test_the_order_of_repeatable_options_is_part_of_the_canonical_form() -> None:
    assert canonical(IK, ["-ot", "a=CPU", "-ot", "b=CPU"]) != canonical(IK, ["-ot", "b=CPU", "-ot", "a=CPU"])


def test_the_last_of_options_that_set_the_same_is_the_canonical_form() -> None:
    assert canonical(IK, ["-c", "1", "-ncmoe", "3", "-c", "2", "-cmoe"]) == [("--cpu-moe", ()), ("--ctx-size", ("2",))]


def test_what_is_unknown_stays_in_the_canonical_form() -> None:
    assert canonical(IK, ["--new", "5", "--new", "6"]) == [("--new", ()), ("--new", ()), ("5", ()), ("6", ())]


ARGUMENTS = st.lists(
    st.one_of(
        st.sampled_from([name for option in IK.options for name in option.names]),
        st.sampled_from(["-1", "0.5", "x=CPU", "a", "", "mtp:n_max=1", "{}"]),
        st.text(max_size=5),
    ),
    max_size=12,
)


@given(ARGUMENTS)
def test_words_are_the_argv_again(argv: list[str]) -> None:
    assert [part for word in words(IK, argv) for part in (word.flag, *word.values)] == argv


@given(ARGUMENTS)
def test_a_canonical_form_of_whole_options_is_its_own(argv: list[str]) -> None:
    whole = [word for word in words(IK, argv) if word.option and len(word.values) == len(word.option.values or ())]
    once = canonical(IK, [part for word in whole for part in (word.flag, *word.values)])
    assert canonical(IK, [part for name, values in once for part in (name, *values)]) == once


@given(ARGUMENTS, st.sampled_from([None, 0, 1, 2]))
def test_any_argv_can_be_checked(argv: list[str], gpus: int | None) -> None:
    for finding in check_argv(IK, argv, gpus):
        assert argv[finding.index] == finding.flag
        assert re.match(r"(error|warning|note): argument \d+ \(", str(finding))
