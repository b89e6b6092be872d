"""The bundle's file: a zip archive of texts that a person can read too."""

from __future__ import annotations

import getpass
import json
import platform
import re
import zipfile
import zlib
from dataclasses import asdict, replace
from hashlib import sha256
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import TypeAdapter, ValidationError

from gpubox import __version__
from gpubox.bundle.redaction import Redaction
from gpubox.errors import DocumentError, Fault, GpuboxError
from gpubox.record import Run, Sample
from gpubox.results.export import jsonl, read_jsonl

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Measured = tuple[Run, Sequence[Sample]]

FORMAT = 1
MANIFEST, RECORDS = "bundle.json", "runs.jsonl"
MAX_BYTES = 1 << 30  # unpacked; 10,000 runs take a tenth of it
LOG_LINES = 2000
_ZIP = b"PK\x03\x04"
_MAKE = "make one with gpubox share"
_ANEW = "fetch it again, or let it be made anew with gpubox share"
# What zipfile and its decompressors raise for bytes that are not what they were.
_DAMAGES = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError, ValueError)
EPOCH = (1980, 1, 1, 0, 0, 0)  # a zip's earliest moment: equal contents make equal files


def write_bundle(file: Path, measured: Iterable[Measured], logs: Mapping[str, Path]) -> None:
    """Write runs and what belongs to them, redacted.

    Args:
        file: the archive; takes its name when it is whole.
        measured: runs with all that was recorded of their samples.
        logs: a server's log by profile name; one that does not exist is left out, of a long one the end is kept.

    Raises:
        GpuboxError: the file can't be written.
    """
    kept = list(measured)
    runs = [run for run, _ in kept]
    redaction = Redaction(runs, hosts=[platform.node()], users=[getpass.getuser()])
    contents = {RECORDS: "".join(json.dumps(redaction.value(json.loads(line))) + "\n" for line in jsonl(kept))}
    for run in runs:
        if run.profile and run.profile_document:
            document = redaction.value(run.profile_document)
            contents[f"profiles/{_safe(run.profile)}.yml"] = yaml.safe_dump(document, sort_keys=False)
            name = str(run.engine.get("name"))
            for catalogue in _catalogues(name, str(run.profile_document.get("engine", {}).get("commit", ""))):
                contents[f"catalogues/{catalogue.name}"] = catalogue.read_text("utf-8")
        log = logs.get(run.profile or "")
        if log is not None and log.is_file():
            lines = log.read_text("utf-8", errors="replace").splitlines()[-LOG_LINES:]
            contents[f"logs/{_safe(log.name)}"] = "".join(f"{redaction.text(line)}\n" for line in lines)
    manifest = {
        "format": FORMAT,
        "gpubox": __version__,
        "runs": [run.id for run in runs],
        "sha256": {name: sha256(text.encode()).hexdigest() for name, text in contents.items()},
    }
    part = file.with_name(f"{file.name}.part")
    try:
        with zipfile.ZipFile(part, "w") as archive:
            for name, text in ({MANIFEST: json.dumps(manifest, indent=2)} | contents).items():
                archive.writestr(zipfile.ZipInfo(name, EPOCH), text, zipfile.ZIP_DEFLATED)
        part.replace(file)
    except OSError as error:
        raise GpuboxError(str(file), f"can't be written ({error.strerror})", "name another file") from error
    finally:
        part.unlink(missing_ok=True)


def read_bundle(file: Path, label: str) -> list[tuple[Run, list[Sample]]]:
    """Return the runs of a bundle; their profiles, batches and hosts carry the label, so that they mix with nobody's.

    All of it is read and checked before anything is returned; nothing is unpacked into files.

    Args:
        file: the archive.
        label: whose runs they are.

    Raises:
        GpuboxError: the file can't be read.
        DocumentError: it is no bundle, is damaged, was changed, a newer gpubox made it, or a record in it is not one.
    """
    place = str(file)
    try:
        with file.open("rb") as opened:
            whole = zipfile.is_zipfile(opened)
            opened.seek(0)
            start = opened.read(len(_ZIP))
    except OSError as error:
        raise GpuboxError(place, f"can't be read ({error.strerror})", "check the path") from error
    if not whole:
        if start == _ZIP:
            raise DocumentError([Fault(place, "", "is cut off or damaged", remedy=_ANEW)])
        raise DocumentError([Fault(place, "", "is not a bundle of gpubox", remedy=_MAKE)])
    try:
        contents = _contents(place, file)
    except _DAMAGES as error:
        raise DocumentError([Fault(place, "", f"is damaged ({error})", remedy=_ANEW)]) from error
    manifest = _manifest(place, contents)
    _check_unchanged(place, manifest, contents)
    try:
        records = contents[RECORDS].decode()
    except (KeyError, UnicodeDecodeError) as error:
        raise DocumentError([Fault(place, RECORDS, "is missing or no text", remedy=_ANEW)]) from error
    where = f"{place}: {RECORDS}"
    return [
        (_labelled(_checked(run, samples, where), label), samples)
        for run, samples in read_jsonl(records.splitlines(), where, remedy=_ANEW)
    ]


def _contents(place: str, file: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as archive:
        items = archive.infolist()
        for item in items:
            if (
                item.filename.startswith(("/", "\\"))
                or ".." in re.split(r"[/\\]", item.filename)
                or ":" in item.filename
            ):
                fault = "holds a file whose path leads out of it"
                raise DocumentError([Fault(place, "", fault, got=json.dumps(item.filename), remedy=_MAKE)])
        if sum(item.file_size for item in items) > MAX_BYTES:
            raise DocumentError([Fault(place, "", f"holds more than {MAX_BYTES >> 30} GiB", remedy=_MAKE)])
        return {item.filename: archive.read(item) for item in items}


def _manifest(place: str, contents: Mapping[str, bytes]) -> dict[str, Any]:
    try:
        manifest = json.loads(contents[MANIFEST])
        made = manifest["format"]
    except (KeyError, TypeError, ValueError) as error:
        raise DocumentError([Fault(place, "", "is not a bundle of gpubox", remedy=_MAKE)]) from error
    if made != FORMAT:
        newer = f"install gpubox {manifest.get('gpubox', 'of today')} or newer" if isinstance(made, int) else _MAKE
        raise DocumentError([Fault(place, "format", f"must be {FORMAT}", got=json.dumps(made), remedy=newer)])
    return dict(manifest)


def _check_unchanged(place: str, manifest: Mapping[str, Any], contents: Mapping[str, bytes]) -> None:
    """Refuse what is not as it was written. Bundles of before the digests have none."""
    digests = manifest.get("sha256")
    if not isinstance(digests, dict):
        return
    faults = [
        Fault(place, name, "was changed after it was written", remedy=_ANEW)
        for name, digest in digests.items()
        if name not in contents or sha256(contents[name]).hexdigest() != digest
    ]
    faults += [
        Fault(place, name, "was added after it was written", remedy=_ANEW)
        for name in contents
        if name not in digests and name != MANIFEST
    ]
    if faults:
        raise DocumentError(faults)


_RUN, _SAMPLES = TypeAdapter(Run), TypeAdapter(list[Sample])


def _checked(run: Run, samples: list[Sample], place: str) -> Run:
    """Return the run; what somebody else wrote is not trusted to be of the right types, nor its names to be names."""
    try:
        _RUN.validate_python(asdict(run))
        _SAMPLES.validate_python([asdict(sample) for sample in samples])
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise DocumentError(
            [Fault(place, field, f"is not as gpubox writes it ({first['msg']})", remedy=_ANEW)]
        ) from error
    for name in (run.id, run.batch, run.profile or "", run.workload.name, run.endpoint):
        if not name.isprintable():
            raise DocumentError(
                [Fault(place, "", "a name holds control characters", got=json.dumps(name), remedy=_ANEW)]
            )
    return run


def _labelled(run: Run, label: str) -> Run:
    host = run.host | ({"hostname": f"{label}/{run.host['hostname']}"} if run.host.get("hostname") else {})
    return replace(run, profile=run.profile and f"{label}/{run.profile}", batch=f"{label}/{run.batch}", host=host)


def _catalogues(engine: str, commit: str) -> list[Path]:
    folder = Path(str(resources.files("gpubox").joinpath("data")))
    return [file for file in folder.glob(f"{engine}-*.json") if commit.startswith(file.stem.rpartition("-")[2])]


def _safe(name: str) -> str:
    return name.replace("/", "_")
