"""The way in of the command `ancestral`: Ctrl+C ends it with 130 and one line from here on.

Almost nothing is imported before the handler stands. What comes before it, the start of the
interpreter itself, is out of this package's reach.
"""

import _thread
import os
import signal
import sys
import time
from types import FrameType

_seen: list[int] = []
_IMPORTING = "<frozen importlib._bootstrap>"


def _end(*_: object) -> None:
    """End the process at once, with one line."""
    if not _seen:
        os.write(2, b"interrupted\n")
    os._exit(130)


def _interrupt(_: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt once no import is under way: a compiled module's would break."""
    if not _seen:
        _seen.append(1)
    while frame is not None:
        if frame.f_code.co_filename == _IMPORTING:
            _thread.start_new_thread(_interrupt_soon, ())
            return
        frame = frame.f_back
    raise KeyboardInterrupt


_interrupt.asked = _seen  # type: ignore[attr-defined]  # for whoever takes the signal over


def _interrupt_soon() -> None:
    time.sleep(0.01)
    _thread.interrupt_main()


def take_over() -> None:
    """Let Ctrl+C end the process in one line, unless its parent has it ignored."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)


def main() -> None:
    """Run the command line and exit."""
    take_over()
    from ancestral.cli.commands import main as run

    taken = signal.getsignal(signal.SIGINT) is _end
    unraisable = sys.unraisablehook

    def ended_where_nothing_is_raised(told: "sys.UnraisableHookArgs") -> None:
        if isinstance(told.exc_value, KeyboardInterrupt):
            os.write(2, b"interrupted\n")
            os._exit(130)
        unraisable(told)

    sys.unraisablehook = ended_where_nothing_is_raised
    code: object = 0
    try:
        if taken:
            signal.signal(signal.SIGINT, _interrupt)
        run()
    except KeyboardInterrupt:
        os.write(2, b"interrupted\n")
        os._exit(130)
    except SystemExit as end:
        code = end.code
    if taken and not (_seen and code):  # all is done: the interpreter's own end would leave no line
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.exit(130 if _seen and code == 1 else code)  # type: ignore[arg-type]  # 1: it broke an import


if __name__ == "__main__":
    main()
