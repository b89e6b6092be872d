"""Where an answer of code first goes wrong: planted faults are found where they were planted, and nowhere else."""

from __future__ import annotations

import ast
import random
from pathlib import Path

import pytest

from gpubox.quality.first_fault import FirstFault, first_fault

OWN_CODE = sorted((Path(__file__).parents[2] / "scripts" / "gpubox").rglob("*.py"))
LONG = "".join(
    f"def step_{number}(value: int) -> int:\n"
    f'    """Return the value after step {number}."""\n'
    f"    scaled = value * {number * 7 + 3} - {number}\n"
    f"    return scaled if scaled % 2 else step_{max(0, number - 1)}(scaled)\n\n\n"
    for number in range(200)
)


def fenced(code: str, *, closed: bool = True) -> str:
    return f"Here it is.\n\n```python\n{code}" + ("```\n" if closed else "")


def fault(answer: str, *, cut: bool = False) -> FirstFault:
    found = first_fault(answer, cut=cut)
    assert found is not None
    return found


def test_long_code_without_a_fault_has_none() -> None:
    assert first_fault(fenced(LONG), cut=False) is None


@pytest.mark.parametrize("path", OWN_CODE[::8], ids=lambda path: path.stem)
def test_code_that_people_wrote_has_no_fault(path: Path) -> None:
    code = path.read_text("utf-8")
    if "```" not in code:
        assert first_fault(fenced(code), cut=False) is None


def test_code_may_be_cut_anywhere_without_a_fault() -> None:
    random_numbers = random.Random(1)
    code = Path(ast.__file__).read_text("utf-8")[:40_000]
    for _ in range(40):
        end = random_numbers.randrange(1000, len(code))
        assert first_fault(fenced(code[:end], closed=False), cut=True) is None, code[end - 100 : end]


@pytest.mark.parametrize(
    ("right", "wrong", "kind", "detail"),
    [
        ("def step_150(value", "def step_150 value", "syntax", ""),
        ("return scaled if scaled % 2 else step_149(", "return scaled if scaled % 2 step_149(", "syntax", ""),
        ("    scaled = value * 1053", "   scaled = value * 1053", "syntax", ""),
        ("scaled = value * 1053", "scaled = valeu * 1053", "undefined name", "valeu"),
        ("scaled = value * 1053", "scaled = value * \ufffd1053", "broken text", "the character U+FFFD"),
        ("scaled = value * 1053", "scaled = value  # " + "=" * 400, "loop", "'=' 400 times"),
        ("scaled = value * 1053", "scaled = value" + " and so on" * 40, "loop", "'and so on' 40 times"),
    ],
)  # fmt: skip  # a fault each
def test_a_planted_fault_is_found_in_its_line(right: str, wrong: str, kind: str, detail: str) -> None:
    assert LONG.count(right) == 1
    answer = fenced(LONG.replace(right, wrong))
    found = fault(answer)
    assert (found.kind, detail or found.detail) == (kind, found.detail)  # the words on syntax are each Python's own
    planted = answer[: answer.index(wrong)].count("\n") + 1
    assert found.line == planted
    assert answer[: found.character].count("\n") + 1 == planted


def test_a_bracket_that_is_never_closed_is_a_fault_where_nothing_can_mend_it_any_more() -> None:
    found = fault(fenced("x = (1,\n     2\n\n\ndef f():\n    return x\n"))
    assert (found.kind, found.line) == ("syntax", 8)


def test_a_loop_begins_where_its_first_round_does() -> None:
    block = "def again():\n    return 'the same thing once more'\n\n\n"
    found = fault(fenced(LONG + block * 9, closed=False), cut=True)
    assert found.kind == "loop"
    assert found.character == pytest.approx(len("Here it is.\n\n```python\n" + LONG), abs=4)


def test_what_ends_by_itself_has_to_be_whole() -> None:
    code = "def f():\n    if True:\n"
    assert first_fault(fenced(code, closed=False), cut=True) is None
    assert fault(fenced(code, closed=False)).kind == "syntax"


def test_an_answer_without_code_is_at_fault_from_its_beginning() -> None:
    assert first_fault("I would rather not.", cut=False) == FirstFault(
        "no code", 0, 1, "the answer holds no code block"
    )


def test_a_name_of_an_earlier_block_is_defined() -> None:
    assert first_fault(fenced("import os\n") + fenced("print(os.name)\n"), cut=False) is None


def test_names_that_functions_make_global_or_classes_hold_are_defined() -> None:
    code = """
def start():
    global counter
    counter = 0

class Box:
    size = 3
    def all(self):
        return [self.size + counter for _ in range(3) if __name__]
"""
    assert first_fault(fenced(code), cut=False) is None
