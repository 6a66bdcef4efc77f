"""Private copies of what a candidate wrote into shared slots: read once, then scored from the copy.

On a GPU the copies travel on a stream of their own, beside the scoring of those that came before; a slot is given
back as soon as its copy is complete.
"""

from __future__ import annotations

import contextlib
import mmap
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


class Intake(Protocol):
    """Copies of slots, by the number of the slot."""

    device: str

    def take(self, slot: int, size: int) -> torch.Tensor:
        """The first `size` bytes of a slot, uint8[size] in private memory; only for what is queued next."""

    def scored(self, slot: int) -> None:
        """Everything that reads the copy is queued."""

    def complete(self) -> list[int]:
        """Slots whose copies are complete, each told once; never waits."""

    def wait(self) -> bool:
        """Wait until the oldest copy is complete; False when none is under way."""


class CpuIntake:
    """Copies in host memory, complete at once."""

    device = "cpu"

    def __init__(self, plane: mmap.mmap, slots: int) -> None:
        """`plane` holds `slots` slots of one size."""
        import torch

        self._plane, self._size = plane, len(plane) // slots
        self._private = torch.empty(self._size, dtype=torch.uint8)
        self._complete: list[int] = []

    def take(self, slot: int, size: int) -> torch.Tensor:
        """As in Intake."""
        import torch

        shared = torch.frombuffer(
            self._plane, dtype=torch.uint8, count=size, offset=slot * self._size
        )
        self._complete.append(slot)
        return self._private[:size].copy_(shared)

    def scored(self, slot: int) -> None:
        """As in Intake."""

    def complete(self) -> list[int]:
        """As in Intake."""
        slots, self._complete = self._complete, []
        return slots

    def wait(self) -> bool:
        """As in Intake."""
        return False


class CudaIntake:
    """Copies in device memory, as many as there are slots. Raises RuntimeError when there is no room for them."""

    device = "cuda"

    def __init__(self, shared: torch.Tensor, slots: int) -> None:
        """`shared`: uint8 in device memory or in host memory, of `slots` slots of one size."""
        import torch

        self._torch, self._size = torch, len(shared) // slots
        self._shared = shared
        self._private = torch.empty(len(shared), dtype=torch.uint8, device="cuda")
        self._stream = torch.cuda.Stream()
        self._copied = [torch.cuda.Event() for _ in range(slots)]
        self._read = [torch.cuda.Event() for _ in range(slots)]
        self._under_way: deque[int] = deque()

    def take(self, slot: int, size: int) -> torch.Tensor:
        """As in Intake; the current stream waits for the copy, this process does not."""
        here = slice(slot * self._size, slot * self._size + size)
        with self._torch.cuda.stream(self._stream):
            self._stream.wait_event(self._read[slot])  # the last copy of this slot has been scored
            self._private[here].copy_(self._shared[here], non_blocking=True)
            self._copied[slot].record()
        self._torch.cuda.current_stream().wait_event(self._copied[slot])
        self._under_way.append(slot)
        return self._private[here]

    def scored(self, slot: int) -> None:
        """As in Intake."""
        self._read[slot].record()

    def complete(self) -> list[int]:
        """As in Intake."""
        slots = []
        while self._under_way and self._copied[self._under_way[0]].query():
            slots.append(self._under_way.popleft())
        return slots

    def wait(self) -> bool:
        """As in Intake."""
        if not self._under_way:
            return False
        self._copied[self._under_way[0]].synchronize()
        return True


def open_intake(
    plane: mmap.mmap, slots: int, device: str, rehearse: Callable[[Intake], None]
) -> Intake:
    """An intake of a plane in host memory, on `device`, or on the CPU when the GPU has no room beside the candidate.

    `rehearse(intake)` does once what will be done often, so that kernels are loaded and memory is held by then.
    """
    import torch

    if device == "cpu" or not torch.cuda.is_available():
        return CpuIntake(plane, slots)
    try:
        return _rehearsed(CudaIntake(pinned(plane), slots), rehearse)
    except RuntimeError:  # also torch.OutOfMemoryError; not even a context may fit
        return CpuIntake(plane, slots)


def open_device_intake(
    slot: int, slots: int, rehearse: Callable[[Intake], None]
) -> tuple[int, Intake] | None:
    """Slots of so many bytes in device memory, by their descriptor, and the intake of them; None where it fails."""
    import torch

    try:
        from harness.guest.prepare_device import lend

        if not torch.cuda.is_available():
            return None
        descriptor, shared = lend(slot * slots)
        return descriptor, _rehearsed(CudaIntake(shared, slots), rehearse)
    except (OSError, RuntimeError):  # a driver without it, or no room
        return None


def pinned(plane: mmap.mmap) -> torch.Tensor:
    """uint8 of a plane, for copies at the speed of the bus. Raises RuntimeError when there is no GPU to be had."""
    import torch

    shared = torch.frombuffer(plane, dtype=torch.uint8)
    torch.cuda.init()
    runtime = torch.cuda.cudart()
    done = runtime.cudaHostRegister(shared.data_ptr(), len(plane), 0)
    if done != runtime.cudaError.success:
        # Copies are slower then, not wrong; the error stays pending until the next operation reports it.
        with contextlib.suppress(RuntimeError):
            torch.zeros(1, device="cuda")
    return shared


def _rehearsed(intake: CudaIntake, rehearse: Callable[[Intake], None]) -> Intake:
    import torch

    rehearse(intake)
    torch.cuda.synchronize()
    return intake
