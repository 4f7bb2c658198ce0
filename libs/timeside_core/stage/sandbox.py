"""What a child that reads hostile bytes gives up first: the network, all files but a few, everything but computing.

Three walls, each of the Linux kernel alone, and each left out (with a warning) where the kernel has it not:

- a network namespace of its own, in which there is nothing (`unshare`);
- Landlock: files are read below a few folders only, and nothing is written;
- seccomp: no new processes, no sockets, no files opened for writing, no tracing, mounting or loading of code by the
  kernel. It denies rather than allows by list, as libraries differ in what they call; the other walls stand behind it.

None of it can be undone. Threads started later inherit it; there must be none before.
"""

import ctypes
import errno
import logging
import os
import platform
import site
import struct
import sys
from collections.abc import Iterable, Sequence

_log = logging.getLogger(__name__)
_libc = ctypes.CDLL(None, use_errno=True)

_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 4, 22, 38
_CLONE_NEWUSER, _CLONE_NEWNET = 0x1000_0000, 0x4000_0000

_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_ACCESS_BITS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""Rights over files that each version of Landlock knows: the lowest so many bits."""
_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3

_ARCHITECTURES = {"x86_64": (0xC000_003E, 0), "aarch64": (0xC000_00B7, 1)}
"""Value of `seccomp_data.arch`, and column of the table below."""
_DENIED = {
    "execve": (59, 221), "execveat": (322, 281), "fork": (57, None), "vfork": (58, None),
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242), "ptrace": (101, 117), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "kill": (62, 129),
    "tkill": (200, 130), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51),
    "unshare": (272, 97), "setns": (308, 268), "bpf": (321, 280), "perf_event_open": (298, 241),
    "userfaultfd": (323, 282), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "reboot": (169, 142), "swapon": (167, 224), "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265),
    "creat": (85, None), "unlink": (87, None), "unlinkat": (263, 35), "rename": (82, None), "renameat": (264, 38),
    "renameat2": (316, 276), "link": (86, None), "linkat": (265, 37), "symlink": (88, None), "symlinkat": (266, 36),
    "mkdir": (83, None), "mkdirat": (258, 34), "mknod": (133, None), "mknodat": (259, 33), "chmod": (90, None),
    "fchmodat": (268, 53), "chown": (92, None), "fchownat": (260, 54), "truncate": (76, 45), "memfd_create": (319, 279),
}  # fmt: skip
"""Numbers of system calls by architecture; None where it has none of that name. They are denied with EPERM."""
_OPEN, _OPENAT, _CLONE = (2, None), (257, 56), (56, 220)
_CLONE3, _OPENAT2 = 435, 437
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CLONE_THREAD = 0x1_0000

_LOAD, _JUMP_EQUAL, _JUMP_FROM, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
"""Classic BPF: ld abs word, jeq, jge, jset, ret."""
_X32_CALLS = 0x4000_0000
"""From here on the same calls are numbered anew, for x32 programs."""
_ALLOW, _ERRNO = 0x7FFF_0000, 0x0005_0000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16
"""Offsets in `seccomp_data`; arguments are 8 bytes each."""


def leave_the_network() -> None:
    """Move into a network namespace without any interface; who may not, tries it as nobody in a user namespace."""
    if _libc.unshare(_CLONE_NEWNET) and _libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET):
        _warn("a network namespace")


def enter(*, readable: Sequence[str]) -> None:
    """Give up all that decoding needs not; `readable` are folders whose files may be read, besides those of Python."""
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        _warn("no new privileges")
        return
    _restrict_files([*readable, *_needed_by_python()])
    _filter_calls()


def _needed_by_python() -> list[str]:
    imports = [each for each in sys.path if each.startswith("/")]
    return [sys.prefix, sys.base_prefix, *site.getsitepackages(), *imports, "/usr", "/lib", "/lib64", "/dev/urandom"]


def _restrict_files(readable: Iterable[str]) -> None:
    version = _libc.syscall(_LANDLOCK_CREATE, None, 0, 1)
    if version < 1:
        _warn("Landlock")
        return
    bits = _ACCESS_BITS[min(version, max(_ACCESS_BITS))]
    handled = struct.pack("<Q", (1 << bits) - 1)
    rules = _libc.syscall(_LANDLOCK_CREATE, handled, len(handled), 0)
    if rules < 0:
        _warn("Landlock")
        return
    for path in sorted({os.path.realpath(each) for each in readable}):
        _allow_reading(rules, path)
    if _libc.syscall(_LANDLOCK_RESTRICT, rules, 0):
        _warn("Landlock")
    os.close(rules)


def _allow_reading(rules: int, path: str) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there need not be read
    rights = _READ_FILE | _EXECUTE | (_READ_DIR if os.path.isdir(path) else 0)
    _libc.syscall(_LANDLOCK_ADD, rules, 1, struct.pack("<Qi", rights, descriptor), 0)
    os.close(descriptor)


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p)]


def _filter_calls() -> None:
    if platform.machine() not in _ARCHITECTURES:
        _log.warning("decoding goes on without seccomp: calls of %s are not known here", platform.machine())
        return
    code = filter_program(platform.machine())
    program = _Program(len(code) // 8, code)
    if _libc.prctl(_PR_SET_SECCOMP, 2, ctypes.byref(program), 0, 0):
        _warn("seccomp")


def filter_program(machine: str) -> bytes:
    """The filter in classic BPF, 8 bytes an instruction."""
    architecture, column = _ARCHITECTURES[machine]
    denied, absent = _return(_ERRNO | errno.EPERM), _return(_ERRNO | errno.ENOSYS)
    code = [_load(_ARCHITECTURE), _instruction(_JUMP_EQUAL, 1, 0, architecture), denied, _load(_NUMBER)]
    code += [_instruction(_JUMP_FROM, 0, 1, _X32_CALLS), denied]
    for numbers in _DENIED.values():
        if (number := numbers[column]) is not None:
            code += [_instruction(_JUMP_EQUAL, 0, 1, number), denied]
    for number in (_CLONE3, _OPENAT2):  # their flags lie in memory, which a filter cannot see: the C library falls back
        code += [_instruction(_JUMP_EQUAL, 0, 1, number), absent]
    for numbers, argument in ((_OPEN, 1), (_OPENAT, 2)):
        if (number := numbers[column]) is not None:
            code += _denied_if(number, argument, _WRITING, is_set=True)
    code += _denied_if(_CLONE[column], 0, _CLONE_THREAD, is_set=False)
    return b"".join([*code, _return(_ALLOW)])


def _denied_if(number: int, argument: int, bits: int, *, is_set: bool) -> list[bytes]:
    """Deny a call by whether any of these bits is set in an argument, allow it otherwise."""
    return [
        _instruction(_JUMP_EQUAL, 0, 4, number),
        _load(_ARGUMENTS + 8 * argument),
        _instruction(_JUMP_ANY_BIT, int(not is_set), int(is_set), bits),
        _return(_ERRNO | errno.EPERM),
        _return(_ALLOW),
    ]


def _load(offset: int) -> bytes:
    return _instruction(_LOAD, 0, 0, offset)


def _return(value: int) -> bytes:
    return _instruction(_RETURN, 0, 0, value)


def _instruction(code: int, if_true: int, if_false: int, value: int) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)


def _warn(what: str) -> None:
    _log.warning("decoding goes on without %s: %s", what, os.strerror(ctypes.get_errno()))
