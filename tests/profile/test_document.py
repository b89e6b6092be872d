"""YAML documents are read strictly, and every refusal is a whole sentence."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpubox.document import MAX_BYTES, parse_mapping, read_mapping
from gpubox.errors import DocumentError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("off", "off"),
        ("yes", "yes"),
        ("true", True),
        ("0x10", 16),
        ("0o17", 15),
        ("010", 10),
        ("1e-3", 0.001),
        ("-5", -5),
        ("+.5", 0.5),
        ("12:30", "12:30"),
        ("2026-01-01", "2026-01-01"),
        ("~", None),
        ("", None),
        ("'12'", "12"),
        ("1_000", "1_000"),
    ],
)
def test_scalars_follow_yaml_1_2(text: str, value: object) -> None:
    found = parse_mapping(f"a: {text}".encode(), "p.yml")["a"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "p.yml: a: is given twice, on lines 1 and 3; keep one"),
        ("b: {c: 1, c: 2}", "p.yml: b.c: is given twice, on line 1; keep one"),
        ("a: [1,", "p.yml: is not YAML at line 2, column 1: did not find expected node content"),
        ("a: b: c", "p.yml: is not YAML at line 1, column 5: mapping values are not allowed in this context"),
        ("- 1", "p.yml: must be a mapping of fields (got a list)"),
        ("just text", "p.yml: must be a mapping of fields (got the text 'just text')"),
        ("# nothing", "p.yml: is empty; a document is a mapping of fields"),
        ("a: &x [*x]", "p.yml: a[0]: contains itself; write the values out without YAML aliases"),
        ("a: !!python/name:os.system x", "p.yml: a: has the YAML tag tag:yaml.org,2002:python/name:os.system, which is not used here; write a plain value"),
        ("? [1]\n: 2", "p.yml: line 1: a key must be text"),
        ("a: {<<: {b: 1}}", "p.yml: a: line 1: YAML merge keys are not used here; use `extends`"),
        ("a: \x00", "p.yml: is not YAML: control characters are not allowed"),
        ("a: 1\n---\nb: 2", "p.yml: line 2 starts a second document; keep one document in a file"),
        ("a: *x", "p.yml: a: the alias *x stands for nothing"),
        (f"a: {'9' * 5000}", "p.yml: a: is not a usable number (got 99999999999999999999…)"),
    ],
)  # fmt: skip  # one case a line
def test_a_faulty_document_is_named_whole(text: str, message: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_mapping(text.encode(), "p.yml")
    assert str(caught.value) == message


def test_nested_aliases_do_not_explode() -> None:
    layers = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    with pytest.raises(DocumentError, match="is nested too deep or too large; is it a profile"):
        parse_mapping("\n".join(layers).encode(), "p.yml")


def test_deep_nesting_is_refused_not_crashed_on() -> None:
    with pytest.raises(DocumentError, match="is nested too deep or too large"):
        parse_mapping(b"a: " + b"[" * 100_000 + b"]" * 100_000, "p.yml")


def test_text_that_is_not_utf_8_is_named_by_line(tmp_path: Path) -> None:
    path = tmp_path / "p.yml"
    path.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(DocumentError) as caught:
        read_mapping(path, shown_as="p.yml")
    assert str(caught.value) == "p.yml: is not UTF-8 text (line 2); save it as UTF-8"


def test_a_missing_file_a_folder_and_a_huge_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "huge.yml").write_bytes(b"#" * (MAX_BYTES + 1))
    messages = []
    for name in ("none.yml", ".", "huge.yml"):
        with pytest.raises(DocumentError) as caught:
            read_mapping(tmp_path / name, shown_as=name)
        messages.append(str(caught.value))
    assert messages == [
        "none.yml: no such file; check the path",
        ".: is a folder, not a file; name one YAML file",
        "huge.yml: is larger than 1024 KiB; is it a YAML file?",
    ]


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="needs Linux's /proc: a file that even root can't read")
def test_an_unreadable_file_is_refused() -> None:
    path = Path(f"/proc/{os.getpid()}/mem")
    with pytest.raises(DocumentError) as caught:
        read_mapping(path, shown_as="p.yml")
    assert str(caught.value) == "p.yml: can't be read: Input/output error"


_PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text("abcdefgh .:'\"\\#-é", max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abcdef", min_size=1, max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abcdef", min_size=1, max_size=5), _PLAIN, min_size=1, max_size=4))
def test_json_is_read_as_json(document: dict[str, object]) -> None:
    import json

    assert parse_mapping(json.dumps(document).encode(), "p.yml") == document


@given(st.binary(max_size=200))
def test_any_bytes_give_a_mapping_or_a_document_error(raw: bytes) -> None:
    with suppress(DocumentError):  # anything else fails the test
        assert isinstance(parse_mapping(raw, "p.yml"), dict)
