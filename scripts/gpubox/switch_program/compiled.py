"""The program's modules as bytecode of the box's own Python, beside the program, so that each run need not compile them anew.

The program's first lines take them where they are there. Their name holds the digest of the sources and the version of
Python, so that what is out of date is not taken.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path


def compile_modules(program: Path) -> None:
    """Write the bytecode beside the program, where it is not there yet; what can't be written is done without.

    Args:
        program: the archive that runs; its comment is the digest of the sources.
    """
    import zipfile  # noqa: PLC0415  # only a deployment and a start of the box compile
    from tempfile import TemporaryDirectory  # noqa: PLC0415

    with suppress(OSError, zipfile.BadZipFile), zipfile.ZipFile(program) as archive:
        target = compiled_path(program, archive.comment.decode())
        if target.exists():
            return
        # Beside the program, so that it can take its place by its name alone; what a failure leaves goes with the folder.
        with TemporaryDirectory(dir=program.parent) as folder:
            archive.extractall(folder)
            part = Path(folder, target.name)
            with zipfile.PyZipFile(str(part), "w") as packed:
                packed.writepy(f"{folder}/gpubox")
            with part.open("rb") as written:
                os.fsync(written.fileno())
            for old in program.parent.glob(f"{program.stem}-*.pyz"):
                old.unlink(missing_ok=True)
            part.replace(target)


def compiled_path(program: Path, key: str) -> Path:
    """Return where the bytecode of a program's sources is, for the Python that runs."""
    return program.with_name(f"{program.stem}-{key}.{sys.implementation.cache_tag}.pyz")
