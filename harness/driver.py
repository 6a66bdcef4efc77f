"""The driver of the GPUs, asked with a bound: where it hangs, who asks does not.

A call into a driver that has lost its GPU may never return, and no signal ends it. So every question is put in a thread
of its own, which is left behind when it is not answered in time. On a machine without a driver nothing is ever asked.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from harness.spec import Cause, HarnessError

PATIENCE = 10.0  # seconds for an answer; a healthy driver needs milliseconds
WAKING = 30.0  # for the first one: a driver that nobody uses wakes up for seconds a GPU

_T = TypeVar("_T")
_unanswered: list[threading.Thread] = []


def ask(question: Callable[[], _T], patience: float | None = None) -> _T:
    """What `question()` returns or raises, in a thread. Raises HarnessError when the driver hangs.

    `patience`: seconds until it is said to hang, else PATIENCE.

    As long as an earlier question is not answered, no other is put.
    """
    _unanswered[:] = [thread for thread in _unanswered if thread.is_alive()]
    if _unanswered:
        raise _hung()
    answer: Future[_T] = Future()

    def put() -> None:
        try:
            answer.set_result(question())
        except BaseException as fault:  # noqa: BLE001 - it is raised where the question came from
            answer.set_exception(fault)

    thread = threading.Thread(target=put, name="driver", daemon=True)
    thread.start()
    thread.join(PATIENCE if patience is None else patience)
    if thread.is_alive():
        _unanswered.append(thread)
        raise _hung()
    return answer.result()


def _hung() -> HarnessError:
    return HarnessError(
        "The driver of the GPU does not answer any more; restart the machine, or reset the GPU with "
        "`nvidia-smi --gpu-reset` where it still can be.",
        Cause.DEVICE_HUNG,
    )


@functools.cache
def nvml() -> Any | None:
    """The initialised binding to NVML, or None where binding or driver are missing. Raises HarnessError as `ask`."""
    try:
        import pynvml
    except ImportError:
        return None
    try:
        ask(pynvml.nvmlInit, WAKING)
    except pynvml.NVMLError:
        return None
    return pynvml
