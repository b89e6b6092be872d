"""The program of `gpubox.switch_program` as one file that Python runs: what the role model_profiles puts on a box.

The same sources give the same bytes, so that a box that has it is not changed.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from pathlib import Path

# The modules of gpubox that the program shares; each needs Python 3.9 and the standard library alone.
SHARED = ("__init__.py", "api_key.py", "errors.py", "port_holder.py", "readiness.py")
PACKAGE = Path(__file__).parent
# The bytecode is what `gpubox.switch_program.compiled` left beside the program.
_MAIN = """\
import os
import sys

compiled = f"{os.path.splitext(sys.argv[0])[0]}-KEY.{sys.implementation.cache_tag}.pyz"
if os.path.exists(compiled):
    sys.path.insert(0, compiled)
from gpubox.switch_program.__main__ import main

sys.exit(main())
"""
_SHEBANG = b"#!/usr/bin/python3 -ISB\n"
_DATE = (1980, 1, 1, 0, 0, 0)  # a zip's earliest


def switch_archive() -> bytes:
    """Return the program, executable."""
    packed = io.BytesIO()
    packed.write(_SHEBANG)
    sources = _sources()
    key = hashlib.sha256(b"".join(sources.values())).hexdigest()[:16]
    with zipfile.ZipFile(packed, "w") as archive:
        archive.comment = key.encode()
        for name, text in {"__main__.py": _MAIN.replace("KEY", key).encode(), **sources}.items():
            archive.writestr(zipfile.ZipInfo(name, _DATE), text)
    return packed.getvalue()


def write_switch_archive(folder: Path) -> Path:
    """Write the program into a folder, where it is not there yet, and return its path."""
    path = folder / "switch.pyz"
    packed = switch_archive()
    if not path.exists() or path.read_bytes() != packed:
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"switch.pyz.{os.getpid()}"
        part.write_bytes(packed)
        part.replace(path)
    return path


def _sources() -> dict[str, bytes]:
    modules = [*SHARED, *sorted(f"switch_program/{path.name}" for path in (PACKAGE / "switch_program").glob("*.py"))]
    return {f"gpubox/{name}": (PACKAGE / name).read_bytes() for name in modules}
