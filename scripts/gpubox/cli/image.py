"""Print the script that builds an engine: the one that the role ik_llama_image builds its container image with.

It runs without a container too: `sh build.sh SOURCE WORK PREFIX`, with any clone of ik_llama.cpp, or the unpacked files
of the commit, as SOURCE. Without --arch and --cpu it is for the GPUs of this machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from gpubox.engine_build import EngineBuild

HELP = "print the script that builds llama-server"
EXAMPLE = """
gpubox image script > build.sh && sh build.sh ./ik_llama.cpp ./work ./built
gpubox image script --arch 90a-real --native
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    from gpubox.profile import IK_LLAMA_COMMIT

    parser.add_argument("part", choices=["script"], help="the part of the recipe")
    parser.add_argument(
        "--arch", metavar="ARCH", action="append", default=[], help="a CUDA architecture, 120a-real; may be repeated"
    )
    parser.add_argument("--cpu", action="store_true", help="build without CUDA")
    parser.add_argument("--native", action="store_true", help="compile CPU code for the machine that builds alone")
    parser.add_argument("--fa-all-quants", action="store_true", help="flash attention for every pair of KV cache types")
    parser.add_argument("--commit", default=IK_LLAMA_COMMIT, help=f"of ik_llama.cpp ({IK_LLAMA_COMMIT[:7]})")
    parser.add_argument(
        "--cmake-flag", metavar="-DNAME=VALUE", action="append", default=[], help="a further one; may be repeated"
    )


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    print(_build(args).script, end="")
    return 0


def _build(args: argparse.Namespace) -> EngineBuild:
    from gpubox.errors import GpuboxError
    from gpubox.image_inputs import read_build
    from gpubox.nvidia import FIRST_NVIDIA_SMI_LIMIT_S, read_gpus

    named = args.cpu or args.arch
    gpus, fault = ([], None) if named else read_gpus(FIRST_NVIDIA_SMI_LIMIT_S)
    if not named and not gpus:
        remedy = "name the architectures (120a-real), or give --cpu"
        raise GpuboxError("--arch", fault or "no NVIDIA GPU is known on this machine", remedy)
    variables = {
        "variant": "cpu" if args.cpu else "cuda",
        "commit": args.commit,
        "cuda_architectures": args.arch,
        "fa_all_quants": args.fa_all_quants,
        "native": args.native,
        "cmake_flags": args.cmake_flag,
    }
    return read_build("gpubox image", variables, gpus)
