"""Quoting for unit files, and the reading of them, held against systemd itself."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from argvs import REALISTIC, argvs
from gpubox.errors import ArgumentError
from gpubox.systemd_quoting import LONG_LINE_MAX, quote_exec, split_exec, unit_values
from systemd_reader import read_commands


@settings(max_examples=1000)
@given(argvs())
def test_quoted_arguments_are_read_back_unchanged(argv: list[str]) -> None:
    assert split_exec("/bin/server " + quote_exec(argv)) == ["/bin/server", *argv]


@settings(max_examples=300)
@given(argvs())
def test_quoted_arguments_fit_on_one_line_of_a_unit_file(argv: list[str]) -> None:
    value = "/bin/server " + quote_exec(argv)
    text = f"[Service]\nType=exec\nExecStart={value}\nRestart=no\n"
    assert unit_values(text, "Service", "ExecStart") == [value.strip(" \t\n\r")]


def test_quoting_is_double_quotes_with_four_characters_made_literal() -> None:
    assert quote_exec(["-ot", r"blk\.3=CUDA0", 'a "b"', "100%", "$HOME", "", "\n\x01"]) == (
        r'''"-ot" "blk\\.3=CUDA0" "a \"b\"" "100%%" "$$HOME" "" "\n\x01"'''
    )


@pytest.mark.usefixtures("systemd")
def test_systemd_reads_every_realistic_argument_unchanged() -> None:
    _assert_systemd_reads([[arg] for arg in REALISTIC])


@pytest.mark.usefixtures("systemd")
@settings(max_examples=20)
@given(st.lists(argvs(), min_size=60, max_size=60))
def test_systemd_reads_quoted_arguments_unchanged(batch: list[list[str]]) -> None:
    _assert_systemd_reads(batch)


def _assert_systemd_reads(batch: list[list[str]]) -> None:
    # systemd shows arguments before it turns `$$` into `$`
    expected = [["/bin/server", *(arg.replace("$", "$$") for arg in argv)] for argv in batch]
    assert read_commands(["/bin/server " + quote_exec(argv) for argv in batch]) == expected


_LINES = st.text(st.sampled_from("\\\\\\\"\"'';;  \tabfnrtvsxuUx01289cA%%é"), min_size=1, max_size=14)


@pytest.mark.usefixtures("systemd")
@settings(max_examples=20)
@given(st.lists(_LINES.map("/bin/server {} end".format), min_size=80, max_size=80))
def test_lines_of_any_make_are_split_as_systemd_splits_them(lines: list[str]) -> None:
    outcomes = [(line, _outcome(line)) for line in lines]
    readable = [(line, argv) for line, argv in outcomes if isinstance(argv, list)]
    assert read_commands([line for line, _ in readable]) == [argv for _, argv in readable]


def _outcome(line: str) -> list[str] | str:
    try:
        return split_exec(line)
    except ArgumentError as error:
        return str(error)


REFUSED = {
    '/bin/server "open': '/bin/server "open: unbalanced quotes',
    "/bin/server 'open": "/bin/server 'open: unbalanced quotes",
    '/bin/server "open\\"': '/bin/server "open\\": unbalanced quotes',
    "/bin/server %z": "%z: unknown specifier %z; write %% for a percent sign",
    "@-": "@-: no executable",
}


@pytest.mark.usefixtures("systemd")
@pytest.mark.parametrize("line", REFUSED)
def test_lines_that_systemd_refuses_are_refused(line: str) -> None:
    assert read_commands([line]) == []
    assert _outcome(line) == REFUSED[line]


@pytest.mark.parametrize(
    ("value", "argv"),
    [
        ("/bin/server a  b\tc", ["/bin/server", "a", "b", "c"]),
        ("/bin/server 'a b'\"c d\"e", ["/bin/server", "a bc de"]),
        (r"/bin/server \x41\101\u00e9\U0001f999 a\sb", ["/bin/server", "AAé🦙", "a b"]),
        (r"/bin/server \q \x0 \400 \U00110000 a\ b", ["/bin/server", r"\q", r"\x0", r"\400", r"\U00110000", r"a\ b"]),
        (r"/bin/server \; ';' x; ;", ["/bin/server", ";", ";", "x;"]),
        ("; /bin/server a", ["/bin/server", "a"]),
        ("-!/bin/server a", ["/bin/server", "a"]),
        ("@/bin/server name a", ["name", "a"]),
        ("/bin/server $$A a$$b ${A}b $A $", ["/bin/server", "$A", "a$b", "b"]),
        ("/bin/server a$b ${A:b} ${A", ["/bin/server", "a$b", "${A:b}", "${A"]),
        (":/bin/server $$A ${A}", ["/bin/server", "$$A", "${A}"]),
        ("/bin/server %% %N-%t %- %", ["/bin/server", "%", "glm-/run", "%-", "%"]),
    ],
)
def test_split_exec_follows_the_manual(value: str, argv: list[str]) -> None:
    assert split_exec(value, {"N": "glm", "t": "/run"}) == argv


def test_a_second_command_is_refused() -> None:
    with pytest.raises(ArgumentError, match=re.escape("/bin/a ; /bin/b: a second command follows a ';'")):
        split_exec("/bin/a ; /bin/b")


def test_unit_values_joins_continued_lines_and_skips_comments_between_them() -> None:
    text = "[Service]\nExecStart=/bin/a b \\\n# ExecStart=/bin/no\n  ; nor this\n   c\\\\\n\tExecStart = d \n[Unit]\nExecStart=e\n"
    assert unit_values(text, "Service", "ExecStart") == ["/bin/a b     c\\\\", "d"]


def test_unit_values_ignores_a_line_that_systemd_takes_for_invalid_utf8() -> None:
    assert unit_values("[Service]\nExecStart=/bin/a \ufdd0\nExecStart=/bin/b\n", "Service", "ExecStart") == ["/bin/b"]


def test_a_line_longer_than_systemd_reads_is_refused() -> None:
    text = "[Service]\nExecStart=/bin/a \\\n" + "x" * LONG_LINE_MAX
    with pytest.raises(ArgumentError) as refusal:
        unit_values(text, "Service", "ExecStart")
    assert str(refusal.value) == "unit file: a line is longer than systemd reads (1 MiB)"
