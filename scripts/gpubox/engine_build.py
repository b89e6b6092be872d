"""How ik_llama.cpp is compiled: one cmake line and one script, for a container image and for a machine without one."""

from __future__ import annotations

from dataclasses import dataclass

from gpubox.template_files import render_template


@dataclass(frozen=True)
class EngineBuild:
    """All that decides which llama-server comes out.

    Attributes:
        variant: `cuda` or `cpu`.
        commit: of ik_llama.cpp, 40 hex digits.
        architectures: values of CMAKE_CUDA_ARCHITECTURES; they count for `cuda`.
        fa_all_quants: whether flash attention is compiled for every pair of KV cache types.
        native: whether the CPU code is compiled for the CPU that compiles it.
        further_flags: `-DNAME=VALUE`; they come last, so they win.
    """

    variant: str
    commit: str
    architectures: tuple[str, ...] = ()
    fa_all_quants: bool = False
    native: bool = False
    further_flags: tuple[str, ...] = ()

    @property
    def tools(self) -> tuple[str, ...]:
        """What is built beside the server, as folders of `examples/`: what tells its perplexity and its speed."""
        return "perplexity", "sweep-bench"

    @property
    def cmake_flags(self) -> list[str]:
        """What cmake is told, in order."""
        cuda = self.variant == "cuda"
        switches = {
            "BUILD_SHARED_LIBS": False,  # one file to copy into the runtime stage
            "GGML_CCACHE": False,  # the script's ccache covers all of the tree, and this would wrap it again
            "GGML_NATIVE": self.native,
            "GGML_IQK_FA_ALL_QUANTS": self.fa_all_quants,
            "LLAMA_BUILD_TESTS": False,
            "LLAMA_CURL": False,  # models are fetched by gpubox, and checked
            "GGML_CUDA": cuda,
            **({"GGML_CUDA_FA_ALL_QUANTS": self.fa_all_quants} if cuda else {}),
        }
        return [
            "-DCMAKE_BUILD_TYPE=Release",
            *(f"-D{name}={'ON' if on else 'OFF'}" for name, on in switches.items()),
            *([f"-DCMAKE_CUDA_ARCHITECTURES={';'.join(self.architectures)}"] if cuda else []),
            *self.further_flags,
        ]

    @property
    def script(self) -> str:
        """The shell script that builds it from a clone or from unpacked files."""
        return render_template("ik-llama-build.sh.j2", build=self)
