"""Ansible filters: which files of a box are not as they should be, asked in one command for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gpubox.box_files import files_differing, files_existing, files_question

if TYPE_CHECKING:
    from collections.abc import Callable


class FilterModule:
    """The filters; `gpubox.box_files` says what they take and return."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """Return the filters by name."""
        return {
            "gpubox_files_question": files_question,
            "gpubox_files_differing": files_differing,
            "gpubox_files_existing": files_existing,
        }
