"""The engine's allocator of compute buffers: best fit, the last free block only when no other will do.

Where in a buffer a tensor comes to lie decides how much later ones can use again, so the peak is not the largest sum of
what is alive; it is what this gives (ggml-alloc.c, ggml_dyn_tallocr_alloc and ggml_dyn_tallocr_free_tensor).
"""

from __future__ import annotations

_UNBOUNDED = 2**62


class BestFit:
    """One buffer.

    Attributes:
        peak: the largest extent so far, bytes.
    """

    def __init__(self, alignment: int) -> None:
        """Start empty; every size is rounded up to a multiple of `alignment`."""
        self._alignment = alignment
        self._free: list[list[int]] = [[0, _UNBOUNDED]]  # offset and size, by offset
        self.peak = 0

    def allocate(self, size: int) -> int:
        """Return the offset of `size` newly taken bytes."""
        size = self._rounded(size)
        best, best_size = -1, _UNBOUNDED + 1
        for index, (_, available) in enumerate(self._free[:-1]):
            if size <= available <= best_size:
                best, best_size = index, available
        block = self._free[best]
        offset = block[0]
        block[0] += size
        block[1] -= size
        if block[1] == 0:
            del self._free[best]
        self.peak = max(self.peak, offset + size)
        return offset

    def free(self, offset: int, size: int) -> None:
        """Give back the `size` bytes at `offset`."""
        size = self._rounded(size)
        blocks = self._free
        for index, block in enumerate(blocks):
            if block[0] + block[1] == offset:
                block[1] += size
                if index + 1 < len(blocks) and block[0] + block[1] == blocks[index + 1][0]:
                    block[1] += blocks.pop(index + 1)[1]
                return
            if offset + size == block[0]:
                block[0] = offset
                block[1] += size
                return
        position = sum(block[0] < offset for block in blocks)
        blocks.insert(position, [offset, size])

    def _rounded(self, size: int) -> int:
        return -(-size // self._alignment) * self._alignment
