"""The system calls that no candidate needs and that reach past its cell, as a filter for the kernel.

It builds a program of the kernel's classic BPF by hand and installs nothing itself: bubblewrap and `harness.landlock`
load it from a descriptor. It must never let through what it does not understand: a call of another architecture.
"""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import socket
import struct
import termios
from dataclasses import dataclass

from harness.spec import HarnessError

_LOAD, _AND = 0x20, 0x54  # A = word at an offset of seccomp_data; A &= k
_EQUAL, _ABOVE, _ANY = 0x15, 0x35, 0x45  # A == k; A >= k; A & k
_RETURN = 0x06
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_NUMBER, _ARCH = 0, 4  # offsets in seccomp_data
_ARGUMENT = 16  # of the first; each takes 8 bytes, its low word first
_X32 = 0x40000000  # numbers of the x32 interface, which shares the architecture of x86-64
_NAMESPACES = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}
_TIOCLINUX = 0x541C
_SOCKET_TYPE = 0xF  # the rest of the word are flags

# Numbers from 424 on are the same everywhere; None where an architecture has no such call.
_COMMON = {
    "pidfd_send_signal": 424,
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "clone3": 435,
    "pidfd_getfd": 438,
    "process_madvise": 440,
    "mount_setattr": 442,
    "quotactl_fd": 443,
    "process_mrelease": 448,
    "cachestat": 451,
    "fchmodat2": 452,
    "setxattrat": 463,
    "removexattrat": 466,
    "open_tree_attr": 467,
    "file_setattr": 469,
}
_NUMBERS: dict[str, tuple[int | None, int | None]] = {  # of x86-64 and of aarch64
    "ioctl": (16, 29),
    "shmget": (29, 194),
    "socket": (41, 198),
    "connect": (42, 203),
    "socketpair": (53, 199),
    "clone": (56, 220),
    "kill": (62, 129),
    "semget": (64, 190),
    "msgget": (68, 186),
    "truncate": (76, 45),
    "chmod": (90, None),
    "fchmod": (91, 52),
    "chown": (92, None),
    "fchown": (93, 55),
    "lchown": (94, None),
    "ptrace": (101, 117),
    "syslog": (103, 116),
    "rt_sigqueueinfo": (129, 138),
    "utime": (132, None),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "acct": (163, 89),
    "mount": (165, 40),
    "umount2": (166, 39),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "reboot": (169, 142),
    "init_module": (175, 105),
    "delete_module": (176, 106),
    "quotactl": (179, 60),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "tkill": (200, 130),
    "tgkill": (234, 131),
    "fadvise64": (221, 223),
    "utimes": (235, None),
    "mq_open": (240, 180),
    "kexec_load": (246, 104),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "inotify_init": (253, None),
    "fchownat": (260, 54),
    "futimesat": (261, None),
    "fchmodat": (268, 53),
    "unshare": (272, 97),
    "utimensat": (280, 88),
    "inotify_init1": (294, 26),
    "rt_tgsigqueueinfo": (297, 240),
    "perf_event_open": (298, 241),
    "fanotify_init": (300, 262),
    "prlimit64": (302, 261),
    "open_by_handle_at": (304, 265),
    "setns": (308, 268),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "finit_module": (313, 273),
    "kexec_file_load": (320, 294),
    "bpf": (321, 280),
    "preadv2": (327, 286),
    "userfaultfd": (323, 282),
}
_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}

# Other processes, the kernel's large and often broken interfaces, file systems, namespaces, the machine itself.
DENIED = (
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "process_mrelease"),
    *("pidfd_getfd", "kcmp"),
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "bpf", "userfaultfd"),
    *("perf_event_open", "keyctl", "add_key", "request_key", "open_by_handle_at"),
    *("mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "open_tree_attr"),
    *("fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "fanotify_init"),
    *("unshare", "setns", "kexec_load", "kexec_file_load"),
    *("init_module", "finit_module", "delete_module"),
    *("quotactl", "quotactl_fd", "swapon", "swapoff", "reboot", "syslog", "acct"),
    # Which pages of the system's files are cached would be a memory from one cell to the next; see also preadv2.
    *("fadvise64", "cachestat"),
)
# What Landlock does not check, and only a file system of one's own makes harmless: changes of what is known about a
# file, watching folders, sockets that have a path, and memory that outlives its maker.
SHARED_DENIED = (
    *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "fchown", "lchown", "fchownat"),
    *("utime", "utimes", "futimesat", "utimensat", "truncate", "file_setattr"),
    *("setxattr", "lsetxattr", "fsetxattr", "setxattrat"),
    *("removexattr", "lremovexattr", "fremovexattr", "removexattrat"),
    *("inotify_init", "inotify_init1", "connect", "shmget", "semget", "msgget", "mq_open"),
)
SIGNALS_DENIED = ("tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal")


@dataclass(frozen=True, slots=True)
class _Step:
    """One instruction: jumps skip `yes` or `no` instructions."""

    code: int
    value: int
    yes: int = 0
    no: int = 0

    def pack(self) -> bytes:
        return struct.pack("=HBBI", self.code, self.yes, self.no, self.value)


_PERMIT = _Step(_RETURN, _ALLOW)
_REFUSE = _Step(_RETURN, _ERRNO | errno.EPERM)
_UNKNOWN = _Step(_RETURN, _ERRNO | errno.ENOSYS)


def program(*, shared: bool = False, signals: bool = True, machine: str | None = None) -> bytes:
    """The filter for this processor, or for `machine` (x86_64, aarch64), as an array of struct sock_filter.

    `shared`: the candidate sees the machine's own file system, so more is refused. `signals`: whether it may send
    signals to others than its own process group; the kernel or a namespace must then keep them among its own.
    Raises HarnessError for a processor that it knows no numbers of.
    """
    machine = machine or platform.machine()
    if machine not in _ARCHITECTURES:
        raise HarnessError(
            f"There is no list of system calls for {machine}; a sandbox needs x86_64 or aarch64."
        )
    architecture, _ = _ARCHITECTURES[machine]
    steps = [_Step(_LOAD, _ARCH), _Step(_EQUAL, architecture, 1, 0), _REFUSE]
    steps.append(_Step(_LOAD, _NUMBER))
    if machine == "x86_64":
        steps += [_Step(_ABOVE, _X32, 0, 1), _REFUSE]
    names = DENIED + (SHARED_DENIED if shared else ()) + (() if signals else SIGNALS_DENIED)
    for name in names:
        steps += _when(number(name, machine), [_REFUSE])
    for name, body in _conditions(shared, signals).items():
        steps += _when(number(name, machine), body)
    return b"".join(step.pack() for step in (*steps, _PERMIT))


def number(name: str, machine: str | None = None) -> int | None:
    """The number of a system call of the lists above; None where the processor has none."""
    if name in _COMMON:
        return _COMMON[name]
    return _NUMBERS[name][_ARCHITECTURES[machine or platform.machine()][1]]


def descriptor(code: bytes) -> int:
    """A fresh memory file with `code`, to be read from its beginning by one program; the caller closes it."""
    handle = os.memfd_create("filter", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(handle, code)
    os.lseek(handle, 0, os.SEEK_SET)
    fcntl.fcntl(handle, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL)
    return handle


def _when(call: int | None, body: list[_Step]) -> list[_Step]:
    """`body`, which always returns, for this call; the number stays loaded for those that follow."""
    return [] if call is None else [_Step(_EQUAL, call, 0, len(body)), *body]


def _conditions(shared: bool, signals: bool) -> dict[str, list[_Step]]:
    """Calls that depend on an argument: each body returns."""
    # The kernel looks at the low words only, as these do: a high word could not smuggle anything past them.
    family = [_argument(0), _Step(_EQUAL, socket.AF_UNIX, 1, 0), _REFUSE]
    if shared:  # a datagram can be sent to a path without connecting to it
        family += [
            _argument(1),
            _Step(_AND, _SOCKET_TYPE),
            _Step(_EQUAL, socket.SOCK_STREAM, 2, 0),
            _Step(_EQUAL, socket.SOCK_SEQPACKET, 1, 0),
            _REFUSE,
        ]
    terminal = [_argument(1), _Step(_EQUAL, termios.TIOCSTI, 1, 0)]
    terminal += [_Step(_EQUAL, _TIOCLINUX, 0, 1), _REFUSE, _PERMIT]
    own = [_argument(0), _Step(_EQUAL, 0, 1, 0), _REFUSE, _PERMIT]
    conditions = {
        "clone": [_argument(0), _Step(_ANY, _NAMESPACES, 0, 1), _REFUSE, _PERMIT],
        "clone3": [_UNKNOWN],  # its flags lie in memory, out of reach; libc then takes clone
        "ioctl": terminal,
        "socket": [*family, _PERMIT],
        "socketpair": [*family, _PERMIT],
        "prlimit64": own,  # of oneself
        "preadv2": [_argument(5), _Step(_ANY, os.RWF_NOWAIT, 0, 1), _REFUSE, _PERMIT],
    }
    return conditions if signals else {**conditions, "kill": own}  # 0: one's own process group


def _argument(index: int) -> _Step:
    return _Step(_LOAD, _ARGUMENT + 8 * index)
