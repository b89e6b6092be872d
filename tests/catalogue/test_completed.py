"""The catalogue of a commit that is not shipped: what its help says, completed by the shipped one."""

from __future__ import annotations

from pathlib import Path

import pytest

from gpubox.catalogue import Catalogue, check_argv, parse_help
from gpubox.profile_check import check_profiles

HELP = (Path(__file__).with_name("ik_llama-29a54f4-help.txt")).read_text("utf-8")
IK = Catalogue.load("ik_llama", "29a54f4")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
NEWER = HELP + "  -nf,   --new-flag N             something new (default: 3)\n"
PROFILE = """\
model: {path: /models/m.gguf}
engine: {commit: COMMIT}
server: {n_gpu_layers: 99, ctx_size: 4096, alias: m}
extra_args: [EXTRA]
"""


def test_what_a_help_text_leaves_out_is_known_from_the_shipped_catalogue() -> None:
    catalogue = parse_help(NEWER, "ik_llama", COMMIT).completed(IK)
    assert catalogue.commit == COMMIT
    assert check_argv(catalogue, ["--gpu-layers", "9", "--alias", "m", "-ot", "exps=CPU", "-nf", "7"], 1) == []
    assert [str(finding) for finding in check_argv(catalogue, ["-ngl", "99", "--gpu-layers", "9"])] == [
        "warning: argument 1 (-ngl): has no effect: argument 3 (--gpu-layers) sets the same and wins; leave one out"
    ]
    assert [str(finding) for finding in check_argv(catalogue, ["--new-flak", "1"])] == [
        "error: argument 1 (--new-flak): unknown option; did you mean --new-flag?"
    ]
    assert [finding.level for finding in check_argv(catalogue, ["-nf", "many"])] == ["error"]


@pytest.mark.parametrize(
    ("text", "extra", "told"),
    [
        (None, '"-nf", "7"', "flags are not checked: no catalogue of this commit is known"),
        (NEWER, '"-nf", "7"', ""),
        (HELP, '"-nf", "7"', "-nf: unknown option"),
        ("no help at all", '"-nf", "7"', "flags are not checked"),
    ],
)
def test_check_reads_the_options_of_another_commit_beside_the_profiles(
    tmp_path: Path, text: str | None, extra: str, told: str
) -> None:
    (tmp_path / "profiles").mkdir()
    (tmp_path / "profiles" / "p.yml").write_text(PROFILE.replace("COMMIT", COMMIT).replace("EXTRA", extra))
    if text:
        (tmp_path / "catalogues").mkdir()
        (tmp_path / "catalogues" / f"ik_llama-{COMMIT[:7]}.txt").write_text(text)
    (found,) = check_profiles(["p"], tmp_path / "profiles")
    said = "\n".join([*found.errors, *found.warnings])
    assert (told in said) if told else not said
