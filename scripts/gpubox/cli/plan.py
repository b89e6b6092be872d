"""Say whether a profile fits a box, where each byte lands, and which flags do not do what they say.

Nothing is downloaded or started: the model's header is read from a file, by range requests from a URL, or taken from an
outline that gpubox ships. Sizes given with --gpu and --ram are what is free: 24GiB, 81559MiB, 96GB.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from gpubox.catalogue import Catalogue
    from gpubox.fill import Proposal
    from gpubox.lint import Finding
    from gpubox.model_source import ModelSource
    from gpubox.placement import Machine, Model, Placement
    from gpubox.profile import Profile
    from gpubox.profile_files import LoadedProfile

HELP = "say whether a profile fits a box, and where each byte lands"
EXAMPLE = """
gpubox plan glm-5.2-2.244bpw-1gpu --host glm-box
gpubox plan glm-5.2-2.244bpw-1gpu --gpu 24GiB --ram 128GiB --fill
gpubox plan ./GLM-4.5-Air-Q4_K_M.gguf --gpu 24GB --ram 128GB --fill
gpubox plan my-profile --model /srv/models/my.gguf --gpu 96GB --gpu 96GB --ram 768GB --json
"""
EXIT_DOES_NOT_FIT = 1
_BAR = 40  # characters
_USEFUL_CONTEXT = 8192  # tokens


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("profile", metavar="PROFILE", help="a name or a file; or a GGUF, to be planned with defaults")
    parser.add_argument("--model", metavar="FILE_OR_URL", help="the model's file, or a URL of which the header is read")
    parser.add_argument("--token-file", metavar="FILE", help="file with a bearer token for the URL's host")
    parser.add_argument(
        "--host",
        metavar="BOX",
        help="a host of the inventory: its gpubox_gpu_memory and gpubox_ram, or what it says itself",
    )
    parser.add_argument("--facts", metavar="FILE", help="a host's facts as JSON, instead of asking it")
    parser.add_argument("--gpu", metavar="SIZE", action="append", help="free memory of a GPU; once for each")
    parser.add_argument("--ram", metavar="SIZE", help="free memory of the host")
    parser.add_argument("--cores", metavar="N", type=int, help="physical CPU cores of the host")
    parser.add_argument("--fill", action="store_true", help="propose where experts go so that the GPUs are full")
    parser.add_argument("--margin", metavar="SIZE", default="512MiB", help="memory that --fill leaves free on each GPU")
    parser.add_argument("--strict", action="store_true", help="warnings count as errors")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the plan; 1 when it does not surely fit or the command line has an error."""
    from gpubox.box_memory import machine_of
    from gpubox.catalogue import Catalogue
    from gpubox.model_source import find_header
    from gpubox.placement import read_model
    from gpubox.profile import IK_LLAMA_COMMIT

    loaded, bare = _profile(args)
    machine = machine_of(
        args.host, loaded.profile.gpus, sizes=args.gpu, ram=args.ram, cores=args.cores, facts=args.facts
    )
    source = find_header(loaded.profile.model, args.model or (args.profile if bare else None), args.token_file)
    catalogue = Catalogue.load("ik_llama", IK_LLAMA_COMMIT)
    model = read_model(source.header)
    asked, findings = _planned(loaded.profile, loaded.name, model, machine, catalogue)
    shown, proposal, layer = asked, None, None
    if args.fill:
        from gpubox.fill import fill
        from gpubox.placement.sizes import parse_size
        from gpubox.proposed_profile import laid_over, proposed_layer

        proposal = fill(model, asked.flags, machine, parse_size(args.margin, "--margin"))
        layer = proposed_layer(loaded.profile, proposal, catalogue)
        shown, findings = _planned(laid_over(loaded.profile, layer), loaded.name, model, machine, catalogue)
    elif not asked.fits:
        findings += _remedies(asked)
    findings += _sources(loaded.profile, source)
    if args.json:
        _print_json(shown, findings, proposal, layer)
    else:
        _print_plan(loaded.name, shown, findings, asked if proposal else None)
        if proposal and layer is not None:
            _print_proposal(loaded, asked, bare=bare, proposal=proposal, layer=layer)
    failed = any(one.level == "error" and one.index is not None for one in findings)
    failed = failed or (args.strict and any(one.level == "warning" for one in findings))
    return EXIT_DOES_NOT_FIT if failed or not shown.fits else 0


def _profile(args: argparse.Namespace) -> tuple[LoadedProfile, bool]:
    """Return the profile, and whether it is only a model's name: a file or URL that ends in `.gguf`."""
    from pathlib import Path, PurePosixPath

    from gpubox.profile import Profile, profile_hash
    from gpubox.profile_files import LoadedProfile, load_profile

    if not args.profile.endswith(".gguf"):
        return load_profile(args.profile), False
    is_url = "://" in args.profile
    path = f"/srv/models/{PurePosixPath(args.profile).name}" if is_url else str(Path(args.profile).resolve())
    profile = Profile.model_validate({"model": {"path": path}})
    return LoadedProfile(PurePosixPath(path).stem.lower(), Path(path), profile, profile_hash(profile), ()), True


def _planned(
    profile: Profile, name: str, model: Model, machine: Machine, catalogue: Catalogue
) -> tuple[Placement, list[Finding]]:
    """Return where a profile's command line puts everything, and what is to be said about it."""
    from gpubox.argv import server_argv
    from gpubox.lint import lint
    from gpubox.placement import place, read_flags

    argv = server_argv(profile, name=name, model="model.gguf", host="127.0.0.1", port=profile.port)
    placement = place(model, read_flags(argv, catalogue), machine)
    return placement, lint(catalogue, argv, placement)


def _sources(profile: Profile, source: ModelSource) -> list[Finding]:
    """Return what the plan rests on that is not the model's own header or the engine's own rules."""
    from gpubox.lint import Finding

    findings = []
    if source.told:
        what = "the header is a shipped outline, told from the published architecture and file size"
        instead = "give --model FILE_OR_URL for the file's own"
        findings.append(Finding("note", source.header.place, what, "inferred", instead))
    if profile.engine.name != "ik_llama":
        what = "placement and defaults are those of ik_llama.cpp 29a54f4"
        findings.append(Finding("warning", "engine.name", f"{profile.engine.name} places by rules of its own", what))
    return findings


def _remedies(placement: Placement) -> list[Finding]:
    from gpubox.lint import Finding
    from gpubox.placement.changes import nearest_changes

    changes = nearest_changes(placement)
    if not changes:
        return [
            Finding("note", "to make it fit", "no single change of a flag does", "", "try --fill, or a smaller model")
        ]
    return [Finding("note", "to make it fit", change.text, "proved by this planner") for change in changes]


def _verdict(placement: Placement) -> str:
    if placement.fits:
        return "fits"
    return "may fit" if placement.may_fit else "does not fit"


def _print_json(
    placement: Placement, findings: Sequence[Finding], proposal: Proposal | None, layer: dict[str, Any] | None
) -> None:
    result: dict[str, object] = {
        "devices": [device.as_json() for device in placement.devices],
        "fits": placement.fits,
        "may_fit": placement.may_fit,
        "findings": [finding.as_json() for finding in findings],
    }
    if proposal:
        result["experts"] = [group.words() for group in proposal.groups]
        result["override_tensor"] = proposal.overrides
        result["changes"] = layer
    print(json.dumps(result, ensure_ascii=False))


def _print_plan(name: str, placement: Placement, findings: Sequence[Finding], asked: Placement | None) -> None:
    """Print where everything is; `asked` is the placement that a proposal takes the place of."""
    from gpubox.placement.sizes import MIB

    if asked is not None:
        over = [
            f"{one.name} needs {one.total / MIB:.0f} MiB of {one.free / MIB:.0f}"
            for one in asked.devices
            if one.over and one.free
        ]
        print(f"{name} as it stands: {'does not fit: ' + ', '.join(over) if over else 'fits'}; proposed instead:\n")
    _print_devices(placement)
    print(f"\n{name}{', as proposed' if asked else ''}: {_verdict(placement)} (sizes in MiB)")
    for finding in findings:
        print(finding)


def _print_devices(placement: Placement) -> None:
    from gpubox.cli.tables import print_table
    from gpubox.expert_groups import ranges
    from gpubox.placement.sizes import MIB

    heads = ("device", "weights", "KV", "compute", "MTP", "wkv_b", "CUDA", "outputs", "total", "free", "layers")
    rows = []
    for device in placement.devices:
        parts = (
            device.weights,
            device.kv,
            device.compute,
            device.draft_compute,
            device.wkv_b,
            device.cuda + device.pools,
            device.outputs,
        )
        total = (device.total, device.free)
        numbers = [f"{part / MIB:.0f}" if part else "-" for part in parts]
        numbers += ["?" if part is None else f"{part / MIB:.0f}" for part in total]
        rows.append((device.name, *numbers, ranges(device.layers) or "-"))
    print_table(heads, rows, numbers=range(1, 10))
    print()
    for device in placement.devices:
        if device.free:
            filled = min(round(device.total / device.free * _BAR), _BAR)
            bar = "█" * filled + "░" * (_BAR - filled)
            print(f"{device.name:<9} {bar} {device.total / device.free:6.1%}")


def _shorter(proposal: Proposal) -> Proposal | None:
    """Return what a quarter of the context would leave room for; None where that is no context to work with."""
    from gpubox.errors import GpuboxError
    from gpubox.fill import fill

    placement = proposal.placement
    length = placement.n_ctx // 4
    if not placement.model.n_expert or length < _USEFUL_CONTEXT:
        return None
    try:
        return fill(placement.model, replace(placement.flags, ctx_size=length), placement.machine, proposal.margin)
    except GpuboxError:
        return None


def _print_proposal(
    loaded: LoadedProfile, asked: Placement, *, bare: bool, proposal: Proposal, layer: dict[str, Any]
) -> None:
    """Print what to write, as a profile and as arguments, and what it gives up of what was `asked`."""
    import yaml

    from gpubox.placement.sizes import gib_text, mib

    model = proposal.placement.model
    if model.n_expert:
        homes = proposal.placement.weights.homes
        of = sum(tensor.nbytes for name, tensor in model.tensors.items() if "_exps." in name and name in homes)
        on_gpus = proposal.placement.experts_on_gpus()
        print(f"\n{gib_text(on_gpus)} of {gib_text(of)} of experts are on the GPUs")
        shorter = _shorter(proposal)
        if shorter is not None and shorter.placement.experts_on_gpus() > on_gpus:
            more = gib_text(shorter.placement.experts_on_gpus())
            print(
                f"a context of {shorter.placement.n_ctx} instead of {proposal.placement.n_ctx} would have room for {more}"
            )
    for name, value in proposal.settings.items():
        if name != "n_gpu_layers":
            was = asked.n_ctx if name == "ctx_size" else getattr(asked.flags, name)
            print(f"made smaller to have room: {name} {value} instead of {was}")
    if not layer and not bare:
        print("\nnothing is to be changed: the profile says so already")
        return
    start: dict[str, Any] = {"extends": loaded.name}
    where = f"save it as inventory/profiles/{loaded.name}-filled.yml"
    if bare:
        start, where = {"model": {"path": str(loaded.path)}}, f"save it as inventory/profiles/{loaded.name}.yml"
    elif loaded.path.parent.name != "profiles":
        start, where = {}, f"write it into {loaded.path}"
    print(f"\nas a profile ({where}):\n")
    print(yaml.safe_dump({**start, **layer}, sort_keys=False, default_flow_style=None, width=110), end="")
    print(f"\nor as arguments, in this order, each GPU keeping {mib(proposal.margin):.0f} MiB free:\n")
    flags = {"n_gpu_layers": proposal.placement.flags.n_gpu_layers, **layer.get("server", {})}
    print("  " + " ".join(f"--{name.replace('_', '-')} {value}" for name, value in flags.items() if value is not None))
    for override in proposal.overrides:
        print(f"  -ot '{override}'")
