"""What is said about command lines, whole messages."""

from __future__ import annotations

import pytest

from gpubox.catalogue import Catalogue, check_argv

IK = Catalogue.load("ik_llama", "29a54f4")


def found(*argv: str, gpus: int | None = None) -> list[str]:
    return [str(finding) for finding in check_argv(IK, argv, gpus)]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--ctx-sizes", "1"], "error: argument 1 (--ctx-sizes): unknown option; did you mean --ctx-size?"),
        (["--merge_qkw"], "error: argument 1 (--merge_qkw): unknown option; did you mean --merge-qkv?"),
        (["--zzzzzzzz", "1", "2"], "error: argument 1 (--zzzzzzzz): unknown option"),
        (
            ["--ctx-size=1"],
            "error: argument 1 (--ctx-size=1): unknown option; write the value as an argument of its own, after --ctx-size",
        ),
        (["--jinja", "on"], "error: argument 2 (on): is no option, and no option before it takes it"),
        (["--jinja", "-c"], "error: argument 2 (-c): needs a value, and the command line ends"),
        (["--lora-scaled", "x"], "error: argument 1 (--lora-scaled): needs 2 values, and the command line ends"),
        (["-ngl", "all"], "error: argument 1 (-ngl): 'all' is not an integer"),
        (["-c", "128K"], "error: argument 1 (-c): '128K' is not an integer; the engine would read 128"),
        (["-c", "4e3"], "error: argument 1 (-c): '4e3' is not an integer; the engine would read 4"),
        (["-c", "-jinja"], "error: argument 1 (-c): '-jinja' is not an integer"),
        (["-c", "2147483648"], "error: argument 1 (-c): 2147483648 does not fit into 32 bits"),
        (["--temp", "0,6"], "error: argument 1 (--temp): '0,6' is not a number; the engine would read 0"),
        (["--temp", "hot"], "error: argument 1 (--temp): 'hot' is not a number"),
        (["-ctk", "q8_kv"], "error: argument 1 (-ctk): does not take 'q8_kv'; did you mean q8_KV?"),
        (
            ["-sm", "row"],
            "error: argument 1 (-sm): does not take 'row'; one of: none, layer, attn, graph",
        ),
        (["-ctk-first", "q8_0"], "error: argument 1 (-ctk-first): does not take 'q8_0'; write it as TYPE,N"),
        (["-ts", "1:1"], "error: argument 1 (-ts): does not take '1:1'; write it as N0,N1,..."),
        (
            ["--chat-template-kwargs", "{a:1}"],
            (
                "error: argument 1 (--chat-template-kwargs): '{a:1}' is not JSON "
                "(Expecting property name enclosed in double quotes: line 1 column 2 (char 1))"
            ),
        ),
        (
            ["-mtp"],
            "error: argument 1 (-mtp): the engine no longer takes it; use --spec-type mtp:n_max=1,p_min=0.0",
        ),
        (
            ["--draft", "16"],
            (
                "error: argument 1 (--draft): the engine no longer takes it; "
                "use --spec-type mtp:n_max=N,p_min=0.0 or --spec-type draft:n_max=N,p_min=0.0"
            ),
        ),
        (
            ["-m", "--jinja"],
            "warning: argument 1 (-m): takes '--jinja', itself an option, as its value; write the value that is missing",
        ),
        (["-rcache"], "note: argument 1 (-rcache): is no longer supported and does nothing"),
    ],
)
def test_one_fault(argv: list[str], message: str) -> None:
    assert found(*argv) == [message]


@pytest.mark.parametrize(
    "argv",
    [
        ["-ngl", "-1"],
        ["--seed", "4294967295"],
        ["-fa", "ON"],
        ["--temp", ".6"],
        ["--temp", "1e-3"],
        ["-ts", "48,48/2.5"],
        ["-ctk-first", "q8_0,-1"],
        ["--override-kv", "a=str:x,y"],
        ["-l", "15043-inf"],
        ["--lora", "a", "--lora", "b"],
        ["--no-context-shift", "--draft-params", "-c 4096"],
        [],
    ],
)
def test_nothing_is_found_in_sound_arguments(argv: list[str]) -> None:
    assert found(*argv) == []


def test_a_switch_that_swallows_the_next_option_is_told() -> None:
    assert found("--skip-chat-parsing", "--jinja") == [
        "note: argument 1 (--skip-chat-parsing): takes a value and ignores it",
        (
            "warning: argument 1 (--skip-chat-parsing): takes '--jinja', itself an option, as its value; "
            "write the value that is missing"
        ),
    ]


def test_an_option_given_twice_is_told_for_each_that_has_no_effect() -> None:
    assert found("-c", "1", "--ctx-size", "2", "--ctx_size", "3") == [
        "warning: argument 1 (-c): has no effect: argument 5 (--ctx_size) sets the same and wins; leave one out",
        "warning: argument 3 (--ctx-size): has no effect: argument 5 (--ctx_size) sets the same and wins; leave one out",
    ]


def test_different_options_that_set_the_same_are_told() -> None:
    assert found("-cmoe", "-ncmoe", "5") == [
        "warning: argument 1 (-cmoe): has no effect: argument 2 (-ncmoe) sets the same and wins; leave one out"
    ]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (
            ["--fit", "-ot", "x=CPU"],
            "error: argument 2 (-ot): manual tensor overrides cannot be used with --fit; leave one out",
        ),
        (["-ncmoe", "3", "--fit"], "error: argument 3 (--fit): --n-cpu-moe cannot be used with --fit; leave one out"),
        (["-cmoe", "--fit"], "error: argument 2 (--fit): --cpu-moe cannot be used with --fit; leave one out"),
    ],
)
def test_options_that_the_engine_refuses_together(argv: list[str], message: str) -> None:
    assert found(*argv) == [message]


def test_split_mode_graph_needs_two_gpus() -> None:
    assert found("-sm", "graph", gpus=1) == [
        "error: argument 1 (-sm): split mode graph needs two or more GPUs, and there is one; use layer, or leave it out"
    ]
    assert found("-sm", "graph", gpus=2) == found("-sm", "graph") == found("-sm", "layer", gpus=1) == []


def test_all_faults_are_told_in_the_order_of_the_argv() -> None:
    assert [finding.index for finding in check_argv(IK, ["--fit", "-c", "x", "-ot", "=CPU", "-c", "y"])] == [
        1,
        1,
        3,
        3,
        5,
    ]


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("", "'' has no '='; write REGEX=BUFFER"),
        ("exps", "'exps' has no '='; write REGEX=BUFFER"),
        ("=CPU", "'=CPU' has an empty regex, which matches every tensor; write .* if that is meant"),
        (
            "a=b=CPU",
            "'a=b=CPU' has two '='; one can't stand inside a regex, since the engine splits there; use . for it",
        ),
        (
            "blk[0-9]{1,2}=CPU",
            (
                "rule 1 of 2, 'blk[0-9]{1', has no '='; a ',' can't stand inside a regex, since the engine splits there; "
                "write REGEX=BUFFER"
            ),
        ),
        (
            "a=CPU,",
            "rule 2 of 2, '', has no '='; a ',' can't stand inside a regex, since the engine splits there; write REGEX=BUFFER",
        ),
        ("(a=CPU", "'(a=CPU' has a bad regex: missing ), unterminated subpattern at position 0"),
        ("(?P<x>a)=CPU", "'(?P<x>a)=CPU' has the group '(?P<', which the engine's regexes (ECMAScript) lack"),
        ("(?i)a=CPU", "'(?i)a=CPU' has the group '(?i', which the engine's regexes (ECMAScript) lack"),
        ("a=cpu", "'a=cpu' has the unknown buffer 'cpu'; write CPU, CUDA0, CUDA1 and so on"),
        ("a=CUDA2", "'a=CUDA2' names CUDA2, but the last GPU is CUDA1"),
    ],
)
def test_a_tensor_override(value: str, fault: str) -> None:
    assert found("-ot", value, gpus=2)[0] == f"error: argument 1 (-ot): {fault}"


@pytest.mark.parametrize(("gpus", "there"), [(0, "there is no GPU"), (1, "the only GPU is CUDA0")])
def test_a_tensor_override_to_a_gpu_that_is_not_there(gpus: int, there: str) -> None:
    assert found("-ot", "a=CPU,b=CUDA1", gpus=gpus) == [
        f"error: argument 1 (-ot): rule 2 of 2, 'b=CUDA1', names CUDA1, but {there}"
    ]


@pytest.mark.parametrize(
    "value",
    [
        r"blk\.(?:3|4)\.ffn_(?!gate_inp).*=CUDA0",
        "[[:digit:]]=CPU",
        "a=CPU,b=CUDA0",
        "a=Vulkan1",
        "a=RPC[10.0.0.1:50052]",
        "a=CUDA7",
    ],
)
def test_nothing_is_found_in_a_sound_tensor_override(value: str) -> None:
    assert found("-ot", value) == []


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ("mpt", "unknown speculative type 'mpt'; did you mean mtp?"),
        ("mtp:n_mx=4", "unknown key 'n_mx'; did you mean n_max?"),
        ("mtp:n_max", "'n_max' is not KEY=VALUE; write TYPE:key=value,key=value"),
        ("mtp:", "'' is not KEY=VALUE; write TYPE:key=value,key=value"),
        ("mtp:n_max=4,", "'' is not KEY=VALUE; write TYPE:key=value,key=value"),
        ("mtp:n_max=x", "n_max: 'x' is not an integer"),
        ("mtp:p-min=0.5x", "p-min: '0.5x' is not a number; the engine would read 0.5"),
    ],
)
def test_a_speculative_stage(value: str, fault: str) -> None:
    assert found("--spec-type", value) == [f"error: argument 1 (--spec-type): {fault}"]


@pytest.mark.parametrize(
    "value",
    [
        "mtp",
        "mtp:n_max=4,p_min=0.5",
        "ngram_mod:n-max=64",
        "suffix:suffix_corpus='/a,b.json',n_max=1",
        r"suffix:suffix_corpus=/a\,b",
    ],
)
def test_nothing_is_found_in_a_sound_speculative_stage(value: str) -> None:
    assert found("--spec-type", value) == []
