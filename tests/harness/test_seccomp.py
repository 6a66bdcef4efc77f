"""The filter for system calls, followed instruction by instruction for both processors, and in the kernel."""

from __future__ import annotations

import errno
import os
import re
import struct
from pathlib import Path

import pytest

from harness import seccomp
from harness.spec import HarnessError

ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
I386, X32 = 0x40000003, 0x40000000
ALLOW, DENY, UNKNOWN = "allow", errno.EPERM, errno.ENOSYS
HIGH = 1 << 32  # a bit that the kernel does not look at
NEWUSER, THREAD = 0x10000000, 0x003D0F00


def verdict(code: bytes, arch: int, number: int, *arguments: int) -> str | int:
    """What the kernel's interpreter makes of a call: `allow`, or an errno."""
    data = struct.pack("=IIQ6Q", number, arch, 0, *(*arguments, *[0] * 6)[:6])
    steps = list(struct.iter_unpack("=HBBI", code))
    at = value = 0
    while True:
        kind, yes, no, k = steps[at]
        at += 1
        if kind == 0x20:
            (value,) = struct.unpack_from("=I", data, k)
        elif kind == 0x54:
            value &= k
        elif kind == 0x06:
            return ALLOW if k == 0x7FFF0000 else k & 0xFFFF
        else:
            holds = {0x15: value == k, 0x35: value >= k, 0x45: bool(value & k)}[kind]
            at += yes if holds else no


@pytest.mark.parametrize("machine", ARCH)
def test_what_is_refused_and_what_is_not(machine: str) -> None:
    code = seccomp.program(machine=machine)

    def call(name: str, *arguments: int) -> str | int:
        number = seccomp.number(name, machine)
        assert number is not None
        return verdict(code, ARCH[machine], number, *arguments)

    for name in seccomp.DENIED:
        assert call(name) == DENY, name
    assert call("clone", NEWUSER) == DENY
    assert call("clone", HIGH | NEWUSER | THREAD) == DENY
    assert call("clone", THREAD) == ALLOW
    assert call("clone3") == UNKNOWN  # so libc takes clone
    assert call("ioctl", 0, 0x5412) == DENY
    assert call("ioctl", 0, HIGH | 0x5412) == DENY
    assert call("ioctl", 0, 0x541C) == DENY
    assert call("ioctl", 0, 0x5401) == ALLOW
    for family, expected in ((1, ALLOW), (2, DENY), (10, DENY), (16, DENY), (40, DENY)):
        assert call("socket", family, 2) == expected
        assert call("socketpair", HIGH | family, 2) == expected
    assert call("prlimit64", 0) == ALLOW
    assert call("prlimit64", 77) == DENY
    for name in (*seccomp.SHARED_DENIED, *seccomp.SIGNALS_DENIED, "kill"):
        if seccomp.number(name, machine) is not None:
            assert call(name, 77) == ALLOW, name
    for harmless in (0, 1, 56 if machine == "aarch64" else 2, 9999):
        assert verdict(code, ARCH[machine], harmless) == ALLOW
    # Calls of another architecture have other numbers.
    assert verdict(code, I386, 0) == DENY
    if machine == "x86_64":
        assert verdict(code, ARCH[machine], X32 | 1) == DENY


@pytest.mark.parametrize("machine", ARCH)
def test_on_a_shared_file_system_more_is_refused(machine: str) -> None:
    code = seccomp.program(shared=True, signals=False, machine=machine)

    def call(name: str, *arguments: int) -> str | int:
        return verdict(code, ARCH[machine], seccomp.number(name, machine) or 0, *arguments)

    for name in (*seccomp.SHARED_DENIED, *seccomp.SIGNALS_DENIED):
        if seccomp.number(name, machine) is not None:
            assert call(name) == DENY, name
    stream, datagram, raw, seqpacket, cloexec = 1, 2, 3, 5, 0o2000000
    for kind, expected in ((stream, ALLOW), (datagram, DENY), (raw, DENY), (seqpacket, ALLOW)):
        assert call("socket", 1, kind | cloexec) == expected
        assert call("socketpair", 1, kind) == expected
    assert call("preadv2", 0, 0, 0, 0, 0, 0) == ALLOW
    assert call("preadv2", 0, 0, 0, 0, 0, os.RWF_NOWAIT) == DENY
    assert call("kill", 0) == ALLOW  # its own process group
    assert call("kill", 77) == DENY
    assert call("kill", (1 << 32) - 1) == DENY  # everybody


@pytest.mark.parametrize(
    ("machine", "header"),
    [
        ("x86_64", "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
        ("aarch64", "/usr/include/asm-generic/unistd.h"),
    ],
)
def test_the_numbers_are_those_of_the_kernels_headers(machine: str, header: str) -> None:
    if not Path(header).exists():
        pytest.skip("the headers are not installed")
    found = re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", Path(header).read_text())
    known = {name: int(number) for name, number in found}
    lists = (*seccomp.DENIED, *seccomp.SHARED_DENIED, *seccomp.SIGNALS_DENIED)
    names = [*lists, "clone", "clone3", "ioctl", "socket", "socketpair", "prlimit64", "kill"]
    names.append("preadv2")
    later = {
        "cachestat",
        "fchmodat2",
        "setxattrat",
        "removexattrat",
        "open_tree_attr",
        "file_setattr",
    }
    for name in set(names) - (later - known.keys()):
        assert seccomp.number(name, machine) == known.get(name), name


def test_a_processor_without_numbers_is_refused() -> None:
    with pytest.raises(HarnessError, match="x86_64 or aarch64"):
        seccomp.program(machine="vax")


def test_the_descriptor_is_read_once_and_cannot_be_changed() -> None:
    code = seccomp.program()
    handle = seccomp.descriptor(code)
    assert os.read(handle, 1 << 16) == code
    with pytest.raises(PermissionError):
        os.write(handle, b"x")
    os.close(handle)
