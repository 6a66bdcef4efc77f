"""System calls that no training needs."""

from tests.cheats.case import FEW, Cheat, attempts, thwarted

CHEAT = Cheat(
    title="tries ptrace, process_vm_readv, pidfd_getfd, io_uring, bpf, userfaultfd, keyctl, mount, unshare and setns",
    kind="host",
    origin="privilege escalations of the last years",
    edits=attempts(
        """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    if libc.syscall(number, *args) < 0:
        raise OSError(ctypes.get_errno(), "denied")
    return "through"
numbers = {"x86_64": (101, 310, 438, 425, 321, 323, 298, 250, 165, 272, 308)}
numbers["aarch64"] = (117, 270, 438, 425, 280, 282, 241, 219, 40, 97, 268)
n = dict(zip("ptrace vm getfd uring bpf uffd perf keyctl mount unshare setns".split(), numbers[os.uname().machine]))
""",
        ptrace="call(n['ptrace'], 16, 1, 0, 0)",
        memory="call(n['vm'], 1, 0, 0, 0, 0, 0)",
        descriptors="call(n['getfd'], os.pidfd_open(1), 0, 0)",
        io_uring="call(n['uring'], 4, ctypes.create_string_buffer(120))",
        bpf="call(n['bpf'], 0, ctypes.create_string_buffer(128), 128)",
        userfaultfd="call(n['uffd'], 1)",
        perf="call(n['perf'], ctypes.create_string_buffer(b'', 112), 0, -1, -1, 0)",
        keys="call(n['keyctl'], 0, -3, 1)",
        mount="call(n['mount'], b'none', b'/tmp', b'tmpfs', 0, None)",
        namespace="call(n['unshare'], 0x10000000)",
        join="call(n['setns'], os.open('/proc/1/ns/net', os.O_RDONLY), 0)",
    ),
    budget=FEW,
    verdict="prevented",
    said=thwarted(
        "ptrace",
        "memory",
        "descriptors",
        "io_uring",
        "bpf",
        "userfaultfd",
        "perf",
        "keys",
        "mount",
        "namespace",
        "join",
    ),
    defence="no capabilities, no nested namespaces, and a filter of system calls",
)
