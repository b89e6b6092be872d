"""Hypothesis strategies for command-line arguments: all that a form must carry, with the worst made likely."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import strategies as st

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

REALISTIC = (
    "-m",
    "--model",
    "/models/GLM-5.2-GGUF-1.630bpw.gguf",
    "-ngl",
    "-1",
    "-ot",
    r"blk\.(3|4|5|6)\.ffn_(up|gate)_exps\.weight=CUDA0",
    r"blk\.[0-9]+\.ffn_.*_exps\.=CPU,\.attn_.*=CUDA1",
    "exps=CPU",
    "--chat-template-kwargs",
    '{"enable_thinking": false, "stop": ["\\n", "</s>"], "reasoning_effort": "max"}',
    "--grammar",
    'root ::= "yes" | "no"\nws ::= [ \\t\\n]*\n',
    "--reverse-prompt",
    "User: 'quoted', \"quoted\" and 100% of ${HOME} $HOME $$ $(id) `id`",
    "\\",
    "\\\\",
    "ends with a backslash\\",
    '"',
    "'",
    "''",
    '""',
    "$",
    "$$",
    "${",
    "${X",
    "${X}",
    "$X",
    "%",
    "%%",
    "%i",
    "%n%t/%%N",
    r"\x41\u00e9\U0001F600\101\n\q",
    "#no comment",
    ";",
    ";;",
    r"\;",
    "",
    " ",
    "\t",
    "\n",
    "\r\n",
    " both ends ",
    "[Service]",
    "ExecStart=/bin/false",
    "@-:+!|",
    "\x01\x07\x08\x0b\x0c\x1b\x7f",
    "\x80\x85\xa0\u2028\u2029\ufeff",
    "\ufdd0\uffff\U0010ffff",
    "ünïcödé 模型 🦙",
    "{{ unit }} {% raw %}",
)
"""Arguments that users write, and those on which a reader of unit files or a shell trips."""

_TRICKY = "\\\"'`$%{};#@!*?[]()<>|&~^= \t\n\r\x0b\x0c\x01\x7f\x80\x85\xa0\u2028é🦙aAnx0u1"


def arguments() -> SearchStrategy[str]:
    """Any argument that is text: no NUL, no surrogate, and short."""
    everything = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
    return st.one_of(
        st.sampled_from(REALISTIC),
        st.text(st.sampled_from(_TRICKY), max_size=12),
        st.text(everything, max_size=8),
        st.tuples(st.sampled_from(REALISTIC), st.text(st.sampled_from(_TRICKY), max_size=4)).map("".join),
    )


def argvs(max_size: int = 8) -> SearchStrategy[list[str]]:
    """Any argv."""
    return st.lists(arguments(), max_size=max_size)
