"""Read many damaged headers and report the slowest, the memory, and whether any ended in another exception.

python tests/gguf_header/fuzz_headers.py [NUMBER] [FIRST_SEED]
"""

from __future__ import annotations

import resource
import sys
import time
import traceback
from collections import Counter

import gguf_mutations

MAX_RSS_MIB = 256


def main() -> int:
    """Run, print one line for each finding and a summary; 1 where a header broke the reader or a limit."""
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    originals = gguf_mutations.originals()
    outcomes: Counter[str] = Counter()
    slowest = (0.0, -1)
    started = time.perf_counter()
    for seed in range(first, first + number):
        content = gguf_mutations.mutated(originals[seed % len(originals)], seed)
        size = len(content) + (0, 2**20, 2**40)[seed % 3]
        began = time.perf_counter()
        try:
            result = gguf_mutations.outcome(content, size)
            outcomes["refused" if isinstance(result, str) else "read"] += 1
        except Exception:  # noqa: BLE001 - what this looks for
            outcomes["broken"] += 1
            print(f"seed {seed}:\n{traceback.format_exc()}")
        slowest = max(slowest, (time.perf_counter() - began, seed))
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        dict(outcomes),
        f"{time.perf_counter() - started:.0f} s, slowest {slowest[0] * 1e3:.1f} ms (seed {slowest[1]}), peak RSS {rss:.0f} MiB",
    )
    return 1 if outcomes["broken"] or rss > MAX_RSS_MIB else 0


if __name__ == "__main__":
    sys.exit(main())
