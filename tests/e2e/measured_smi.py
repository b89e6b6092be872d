#!/usr/bin/python3 -ISB
"""nvidia-smi of a box without GPUs, whose one card draws 300 W at all times; hot where /run/hot exists."""

import re
import sys
import time
from pathlib import Path

CARD = {
    "index": "0",
    "uuid": "GPU-00000000-aaaa-bbbb-cccc-000000000000",
    "name": "Stand-in",
    "memory.total": "97887",
    "memory.used": "4",
    "compute_cap": "12.0",
    "pci.bus_id": "00000000:01:00.0",
    "driver_version": "580.95.05",
    "utilization.gpu": "0",
    "power.draw": "300.00",
    "clocks.sm": "2400",
    "clocks.mem": "14001",
    "temperature.gpu": "61",
}


def main() -> None:
    words = " ".join(sys.argv[1:])
    query = re.search(r"--query-gpu=(\S+)", words)
    loop = re.search(r"--loop-ms=(\d+)", words)
    while True:
        reasons = "0x0000000000000020" if Path("/run/hot").exists() else "0x0000000000000000"
        if query:
            card = {**CARD, "clocks_event_reasons.active": reasons}
            print(", ".join(card[field] for field in query[1].split(",")), flush=True)
        if not loop:
            return
        time.sleep(int(loop[1]) / 1e3)


main()
