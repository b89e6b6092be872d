"""Recorded facts as lines for people: units, sizes, devices, and nothing known left out."""

from __future__ import annotations

from gpubox.results.described import gpu_lines, lines_of

GPU = {
    "index": 0,
    "uuid": "GPU-1",
    "name": "NVIDIA H200",
    "memory_bytes": 150_754_820_096,
    "compute_capability": "9.0",
    "pci_bus_id": "00000000:00:06.0",
    "driver": "580.159.04",
}


def test_a_host_is_told_line_by_line() -> None:
    facts = {
        "hostname": "box1",
        "cpu": "AMD EPYC 9175F",
        "ram_bytes": 768 * 2**30,
        "governor": None,
        "load": [9.17, 18.39, 9.5],
        "gpus": [GPU],
        "gpu_fault": None,
        "planned_mib": {"CUDA0": 78587.4, "CUDA_Host": 700.0},
        "gpu_states": [{"power_w": 81.89, "temperature_c": 38, "held_back_by": [], "ecc": True}],
        "measured_from": {"hostname": "laptop", "gpus": []},
    }
    assert lines_of(facts) == [
        "hostname: box1",
        "CPU: AMD EPYC 9175F",
        "RAM: 768.0 GiB (824,633,720,832 bytes)",
        "load: 9.17, 18.39, 9.5",
        "GPU 0: NVIDIA H200, 140.4 GiB, compute capability 9.0, bus 00000000:00:06.0, driver 580.159.04, GPU-1",
        "planned: CUDA0 78587.4 MiB, CUDA_Host 700.0 MiB",
        "before the run, GPU 0: power 81.89 W, temperature 38 °C, ECC yes",
        "measured from:",
        "  hostname: laptop",
    ]


def test_a_model_of_several_files_and_an_engine_are_told_line_by_line() -> None:
    files = [{"path": "/srv/a-1.gguf", "size": 2**30, "sha256": "ab"}, {"path": "/srv/a-2.gguf"}]
    assert lines_of({"path": "/srv/a-1.gguf", "files": files, "meta": {"n_params": 7, "size": 1}}) == [
        "path: /srv/a-1.gguf",
        "files 0: path /srv/a-1.gguf, size 1.0 GiB (1,073,741,824 bytes), SHA-256 ab",
        "files 1: path /srv/a-2.gguf",
        "meta: parameters 7, size 0.0 GiB (1 bytes)",
    ]
    assert lines_of(
        {"name": "ik_llama", "version": "version: 4669 (29a54f4b0)", "n_ctx": 65536, "unit_sha256": "cd"}
    ) == [
        "name: ik_llama",
        "version: 4669 (29a54f4b0)",
        "context: 65536",
        "unit SHA-256: cd",
    ]


def test_gpus_of_which_only_names_or_less_is_known_are_told_too() -> None:
    assert gpu_lines(["RTX PRO 6000", {"index": 1}, {}]) == ["RTX PRO 6000", "1: unknown", "?: unknown"]
    assert lines_of({}) == []
