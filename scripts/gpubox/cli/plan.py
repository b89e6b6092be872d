"""Say whether a profile fits a box, where each byte lands, and which flags do not do what they say.

Nothing is downloaded or started: the model's header is read from a file, by range requests from a URL, or taken from an
outline that gpubox ships. Sizes given with --gpu and --ram are what is free: 24GiB, 81559MiB, 96GB.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from gpubox.fill import Proposal
    from gpubox.lint import Finding
    from gpubox.placement import Machine, Placement
    from gpubox.profile import Profile

HELP = "say whether a profile fits a box, and where each byte lands"
EXAMPLE = """
gpubox plan glm-5.2-2.244bpw-1gpu --host glm-box
gpubox plan glm-5.2-2.244bpw-1gpu --gpu 24GiB --ram 128GiB --fill
gpubox plan my-profile --model /srv/models/my.gguf --gpu 96GB --gpu 96GB --ram 768GB --json
"""
EXIT_DOES_NOT_FIT = 1
_BAR = 40  # characters


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("profile", metavar="PROFILE", help="a name or a file")
    parser.add_argument("--model", metavar="FILE_OR_URL", help="the model's file, or a URL of which the header is read")
    parser.add_argument("--token-file", metavar="FILE", help="file with a bearer token for the URL's host")
    parser.add_argument("--host", metavar="BOX", help="a host of the inventory, with gpubox_gpu_memory and gpubox_ram")
    parser.add_argument("--gpu", metavar="SIZE", action="append", help="free memory of a GPU; once for each")
    parser.add_argument("--ram", metavar="SIZE", help="free memory of the host")
    parser.add_argument("--cores", metavar="N", type=int, help="physical CPU cores of the host")
    parser.add_argument("--fill", action="store_true", help="propose where experts go so that the GPUs are full")
    parser.add_argument("--margin", metavar="SIZE", default="512MiB", help="memory that --fill leaves free on each GPU")
    parser.add_argument("--strict", action="store_true", help="warnings count as errors")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run(args: argparse.Namespace) -> int:
    """Print the plan; 1 when it does not fit or the command line has an error."""
    from gpubox.argv import server_argv
    from gpubox.catalogue import Catalogue
    from gpubox.lint import Finding, lint
    from gpubox.model_source import find_header
    from gpubox.placement import place, read_flags, read_model
    from gpubox.profile import IK_LLAMA_COMMIT
    from gpubox.profile_files import load_profile

    loaded = load_profile(args.profile)
    machine = _machine(args, loaded.profile)
    source = find_header(loaded.profile.model, args.model, args.token_file)
    catalogue = Catalogue.load("ik_llama", IK_LLAMA_COMMIT)
    argv = server_argv(loaded.profile, name=loaded.name, model="model.gguf", host="127.0.0.1", port=loaded.profile.port)
    flags = read_flags(argv, catalogue)
    placement = place(read_model(source.header), flags, machine)
    findings = lint(catalogue, argv, placement)
    if source.told:
        what = "the header is a shipped outline, told from the published architecture and file size"
        instead = "give --model FILE_OR_URL for the file's own"
        findings.append(Finding("note", source.header.place, what, "inferred", instead))
    if loaded.profile.engine.name != "ik_llama":
        what = "placement and defaults are those of ik_llama.cpp 29a54f4"
        findings.append(
            Finding("warning", "engine.name", f"{loaded.profile.engine.name} places by rules of its own", what)
        )
    proposal = None
    if args.fill:
        from gpubox.fill import fill
        from gpubox.placement.sizes import parse_size

        proposal = fill(placement.model, flags, machine, parse_size(args.margin, "--margin"))
    if not placement.fits and not args.fill:
        findings += _remedies(placement)
    _show(args, loaded.name, placement, findings, proposal)
    judged = proposal.placement if proposal else placement
    failed = any(one.level == "error" and one.index is not None for one in findings)
    failed = failed or (args.strict and any(one.level == "warning" for one in findings))
    return EXIT_DOES_NOT_FIT if failed or not judged.fits else 0


def _machine(args: argparse.Namespace, profile: Profile) -> Machine:
    """Return the box's memory, of the GPUs that the profile uses."""
    from gpubox.errors import GpuboxError
    from gpubox.placement import Machine
    from gpubox.placement.sizes import parse_size

    sizes, ram, cores = args.gpu or [], args.ram, args.cores
    if args.host:
        from gpubox.box import load_box
        from gpubox.profile_files import profiles_folder

        box = load_box(args.host, profiles_folder().parent)
        sizes = sizes or [size for size in box.gpu_memory.split(",") if size.strip()]
        ram, cores = ram or box.ram, cores or box.cores or None
    if not sizes and profile.gpus != "none":
        remedy = (
            "set gpubox_gpu_memory in the inventory" if args.host else "give --host BOX, or --gpu SIZE for each GPU"
        )
        raise GpuboxError(args.host or "gpubox plan", "the GPUs' memory is not known", remedy)
    free = [parse_size(size, "--gpu") for size in sizes]
    if profile.gpus == "none":
        used = []
    elif profile.gpus == "all":
        used = free
    else:
        wanted = [gpu if isinstance(gpu, int) else position for position, gpu in enumerate(profile.gpus)]
        if len(free) == len(wanted):
            wanted = list(range(len(free)))
        missing = next((gpu for gpu in wanted if gpu >= len(free)), None)
        if missing is not None:
            raise GpuboxError(
                "gpus", f"the profile uses GPU {missing}, and {len(free)} are given", "give more --gpu SIZE"
            )
        used = [free[gpu] for gpu in wanted]
    return Machine(tuple(used), parse_size(ram, "--ram") if ram else None, cores, len(free))


def _remedies(placement: Placement) -> list[Finding]:
    from gpubox.lint import Finding
    from gpubox.placement.changes import nearest_changes

    changes = nearest_changes(placement)
    if not changes:
        return [
            Finding("note", "to make it fit", "no single change of a flag does", "", "try --fill, or a smaller model")
        ]
    return [Finding("note", "to make it fit", change.text, "proved by this planner") for change in changes]


def _show(
    args: argparse.Namespace,
    name: str,
    placement: Placement,
    findings: Sequence[Finding],
    proposal: Proposal | None,
) -> None:
    if args.json:
        shown = proposal.placement if proposal else placement
        result: dict[str, object] = {
            "devices": [device.as_json() for device in shown.devices],
            "fits": shown.fits,
            "findings": [finding.as_json() for finding in findings],
        }
        if proposal:
            result["experts"] = [group.words() for group in proposal.groups]
            result["override_tensor"] = proposal.overrides
        print(json.dumps(result, ensure_ascii=False))
        return
    _show_devices(name, placement)
    for finding in findings:
        print(finding)
    if proposal:
        _show_proposal(proposal)


def _show_devices(name: str, placement: Placement) -> None:
    from gpubox.cli.tables import print_table
    from gpubox.fill import ranges
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
    print(f"\n{name}: {'fits' if placement.fits else 'does not fit'} (sizes in MiB)")


def _show_proposal(proposal: Proposal) -> None:
    from gpubox.placement.sizes import MIB

    print(f"\nproposed, with {proposal.placement.experts_on_gpus() / MIB:.0f} MiB of experts on the GPUs:")
    print(f"  server: {{n_gpu_layers: {proposal.placement.flags.n_gpu_layers}}}  # without cpu_moe and n_cpu_moe")
    print("  experts:" if proposal.groups else "  experts: []")
    for group in proposal.groups:
        words = ", ".join(f"{key}: {_yaml(value)}" for key, value in group.words().items())
        print(f"    - {{{words}}}")
    print("or as arguments, in this order:")
    for override in proposal.overrides:
        print(f"  -ot '{override}'")
    print()
    _show_devices("proposal", proposal.placement)


def _yaml(value: object) -> str:
    return (
        f"[{', '.join(value)}]"
        if isinstance(value, list)
        else f'"{value}"'
        if "-" in str(value) or "," in str(value) or str(value).isdigit()
        else str(value)
    )
