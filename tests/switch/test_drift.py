"""In what a server that runs is not what its unit says."""

from __future__ import annotations

import pytest

from gpubox.switch_program.drift import argv_difference

UNIT = ["--model", "/models/x.gguf", "--ctx-size", "2048", "-ot", "blk=CPU", "-ot", "exps=CUDA0", "--temp", "-1", "-fa"]


@pytest.mark.parametrize(
    ("running", "said"),
    [
        (UNIT, ""),
        (
            [*UNIT[:3], "4096", *UNIT[4:]],
            "runs with --ctx-size 4096, and its unit has --ctx-size 2048",
        ),
        (UNIT[:-1], "runs without -fa, which its unit has"),
        ([*UNIT, "--no-mmap"], "runs with --no-mmap, which its unit has not"),
        (
            [*UNIT[:4], "-ot", "exps=CUDA0", "-ot", "blk=CPU", *UNIT[8:]],
            "runs with -ot exps=CUDA0 at another place than its unit has it",
        ),
        ([*UNIT[:9], "-2", "-fa"], "runs with --temp -2, and its unit has --temp -1"),
        (
            [*UNIT, "-a", "1", "-b", "2", "-c", "3", "-d", "4"],
            "runs with -a 1 -b 2 -c 3 and 1 more, which its unit has not",
        ),
    ],
    ids=["same", "another value", "one less", "one more", "another order", "negative number", "many"],
)
def test_what_differs_is_named_with_its_value(running: list[str], said: str) -> None:
    assert argv_difference(UNIT, running) == said
