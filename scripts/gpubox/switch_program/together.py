"""Several questions at a time. concurrent.futures takes longer to import than most of them to answer."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class Asked:
    """A function that runs in a thread of its own.

    Args:
        function: is called at once.
    """

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._value: Any = None
        self._error: BaseException | None = None
        self._thread = Thread(target=self._call)
        self._thread.start()

    def wait(self) -> None:
        """Wait until it has ended."""
        self._thread.join()

    def answer(self) -> Any:  # noqa: ANN401  # the function's
        """Wait for it; return what it returned, or raise what it raised."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._value

    def _call(self) -> None:
        try:
            self._value = self._function()
        except BaseException as error:  # noqa: BLE001  # whoever asks for the answer gets it
            self._error = error


def together(*functions: Callable[[], Any]) -> list[Any]:
    """Call functions at the same time; return what they return, or raise the first error when all have ended."""
    asked = [Asked(function) for function in functions]
    for one in asked:
        one.wait()
    return [one.answer() for one in asked]
