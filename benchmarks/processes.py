"""CPU time and peak memory of processes and their children, as the kernel counts them."""

import os
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_USER, _ALL_CHILDREN_SYSTEM = 11, 14
"""Fields of /proc/…/stat after the name: CPU ticks in user mode, …, of children that have ended in system mode."""


def tree(pid: int) -> list[int]:
    """A process, its children, theirs, and so on."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [pid, *(each for task in tasks for child in task.read_text().split() for each in tree(int(child)))]


def cpu_s(pid: int) -> float:
    """CPU seconds, user and system, of a process and of those of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[_USER : _ALL_CHILDREN_SYSTEM + 1])) * _TICK_S


def tree_cpu_s(pid: int) -> float:
    """The same with all children that live."""
    return sum(map(cpu_s, tree(pid)))


def peak_mib(pid: int) -> float:
    """Most memory that a process ever had resident, MiB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024
