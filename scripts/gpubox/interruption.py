"""Ctrl-C that can't get lost.

Python raises KeyboardInterrupt wherever the main thread happens to be. Where that is a finalizer or a library that
swallows every exception (`paramiko.Channel.__del__` has a bare `except`), the interrupt is gone and a benchmark would run
on. So it is also noted, and long work looks at the note between its steps.
"""

from __future__ import annotations

import signal
import threading

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType


class _Pressed:
    yet = False  # no lock: a signal may come while it is held


def listen() -> None:
    """Note Ctrl-C from now on, beside raising KeyboardInterrupt; nothing where SIGINT is ignored or another's."""
    main = threading.current_thread() is threading.main_thread()
    if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _note)


def check() -> None:
    """Raise KeyboardInterrupt if Ctrl-C was pressed since `listen` and this was never called since.

    Raises:
        KeyboardInterrupt: as if it were pressed now.
    """
    if _Pressed.yet:
        _Pressed.yet = False
        raise KeyboardInterrupt


def _note(number: int, frame: FrameType | None) -> None:
    del number, frame
    _Pressed.yet = True
    raise KeyboardInterrupt
