"""Device memory that two processes share by a descriptor alone, through CUDA's virtual memory management.

Logits that stay on the GPU need not cross the bus twice. A descriptor works where the handles of CUDA's older IPC do not:
between different pid and user namespaces. Whoever lends memory keeps it; what lies in it is bytes and nothing more.
Raises OSError wherever the driver does not go along, and callers then use host memory.
"""

from __future__ import annotations

import ctypes
from typing import Any

import torch

_PINNED, _ON_DEVICE, _BY_DESCRIPTOR, _READ_WRITE = 1, 1, 1, 3  # values of cuda.h


class _Location(ctypes.Structure):
    _fields_ = (("kind", ctypes.c_int), ("number", ctypes.c_int))


class _Properties(ctypes.Structure):
    """CUmemAllocationProp."""

    _fields_ = (
        ("kind", ctypes.c_int),
        ("handles", ctypes.c_int),
        ("location", _Location),
        ("windows", ctypes.c_void_p),
        ("flags", ctypes.c_ubyte * 8),
    )


class _Access(ctypes.Structure):
    """CUmemAccessDesc."""

    _fields_ = (("location", _Location), ("flags", ctypes.c_int))


class _Bytes:
    """What torch makes a tensor of, without a copy."""

    def __init__(self, address: int, size: int) -> None:
        self.__cuda_array_interface__ = {
            "shape": (size,),
            "typestr": "|u1",
            "data": (address, False),
            "version": 3,
        }


def lend(size: int) -> tuple[int, torch.Tensor]:
    """`size` bytes on the current device: a descriptor of them, and uint8[size].

    The memory lives as long as this process. Raises OSError.
    """
    driver, here = _driver()
    wanted = _Properties(_PINNED, _BY_DESCRIPTOR, here)
    whole = _whole(driver, wanted, size)
    handle, descriptor = ctypes.c_ulonglong(), ctypes.c_int(-1)
    none = ctypes.c_ulonglong(0)
    _do(
        driver.cuMemCreate, ctypes.byref(handle), ctypes.c_size_t(whole), ctypes.byref(wanted), none
    )
    export = driver.cuMemExportToShareableHandle
    _do(export, ctypes.byref(descriptor), handle, _BY_DESCRIPTOR, none)
    return descriptor.value, _mapped(driver, here, handle, whole)[:size]


def borrow(descriptor: int, size: int) -> torch.Tensor:
    """The memory behind a descriptor that another process has lent, uint8[size]. Raises OSError."""
    driver, here = _driver()
    whole = _whole(driver, _Properties(_PINNED, _BY_DESCRIPTOR, here), size)
    handle = ctypes.c_ulonglong()
    take = driver.cuMemImportFromShareableHandle
    _do(take, ctypes.byref(handle), ctypes.c_void_p(descriptor), _BY_DESCRIPTOR)
    return _mapped(driver, here, handle, whole)[:size]


def _whole(driver: Any, wanted: _Properties, size: int) -> int:
    """`size`, rounded up to what the driver gives."""
    grain = ctypes.c_size_t()
    _do(driver.cuMemGetAllocationGranularity, ctypes.byref(grain), ctypes.byref(wanted), 0)
    return -(-size // grain.value) * grain.value


def _driver() -> tuple[Any, _Location]:
    """The driver's library, and the device whose context is current by now."""
    torch.zeros(1, device="cuda")
    return ctypes.CDLL("libcuda.so.1"), _Location(_ON_DEVICE, torch.cuda.current_device())


def _mapped(driver: Any, here: _Location, handle: ctypes.c_ulonglong, size: int) -> torch.Tensor:
    """Give memory an address in this process."""
    address, none = ctypes.c_ulonglong(), ctypes.c_ulonglong(0)
    length = ctypes.c_size_t(size)
    zero = ctypes.c_size_t(0)
    _do(driver.cuMemAddressReserve, ctypes.byref(address), length, zero, none, none)
    _do(driver.cuMemMap, address, length, zero, handle, none)
    access = _Access(here, _READ_WRITE)
    _do(driver.cuMemSetAccess, address, length, ctypes.byref(access), ctypes.c_size_t(1))
    return torch.as_tensor(_Bytes(address.value, size), device="cuda")


def _do(function: Any, *arguments: Any) -> None:
    code = function(*arguments)
    if code:
        raise OSError(f"{function.__name__} failed with CUDA error {code}")
