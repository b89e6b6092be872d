"""What systemd itself reads in an `ExecStart=` line, for tests, without a running systemd.

`systemd --test --user` loads units, prints what it understood and ends. It refuses to run as root, so root becomes
nobody for it. It shows arguments after quotes, escapes and specifiers, before variables: `$$` is still `$$`.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_SYSTEMD = Path("/usr/lib/systemd/systemd")
_NOBODY = 65534
_SHOWN = re.compile(rb"\t\tCommand Line: (.*)\n")
_WORD = re.compile(rb'"((?:[^"\\]|\\.)*)"|([^ ]+)')
_ESCAPE = re.compile(rb"\\([0-7]{3}|.)")
_LETTERS = dict(zip(b"abfnrtv", b"\a\b\f\n\r\t\v", strict=True))


def reads_units() -> bool:
    """Whether there is a systemd on this machine that says what it reads."""
    try:
        return read_commands(['/bin/true "a b" ""']) == [["/bin/true", "a b", ""]]
    except OSError:
        return False


def read_commands(values: Sequence[str]) -> list[list[str]]:
    """Let systemd read `ExecStart=` values.

    Args:
        values: one command each.

    Returns:
        The commands that systemd shows; `$$` not yet replaced.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        for target in ("basic", "shutdown", "default"):
            (folder / f"{target}.target").write_text("[Unit]\n", encoding="utf-8")
        lines = ["[Service]", "Type=oneshot", *(f"ExecStart={value}" for value in values)]
        (folder / "probe.service").write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
        nobody = _NOBODY if os.getuid() == 0 else None
        done = subprocess.run(
            [_SYSTEMD, "--test", "--user", "--unit=probe.service", "--no-pager"],
            env={"SYSTEMD_UNIT_PATH": name, "XDG_RUNTIME_DIR": name, "HOME": name, "SYSTEMD_LOG_TARGET": "console"},
            user=nobody,
            group=nobody,
            extra_groups=[] if nobody else None,
            capture_output=True,
            check=False,
        )
    return [_unquote(line) for line in _SHOWN.findall(done.stdout)]


def _unquote(line: bytes) -> list[str]:
    words = (_unescape(quoted) if quoted or not bare else bare for quoted, bare in _WORD.findall(line))
    return [word.decode(errors="surrogateescape") for word in words]


def _unescape(text: bytes) -> bytes:
    def replacement(match: re.Match[bytes]) -> bytes:
        code = match[1]
        return bytes([int(code, 8)]) if len(code) == 3 else bytes([_LETTERS.get(code[0], code[0])])

    return _ESCAPE.sub(replacement, text)
