"""What the numbers were measured on: processor, Python, SQLite and how often the disk can sync."""

from __future__ import annotations

import os
import platform
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

SYNC_SECONDS = 1.0
SYNC_BYTES = b"x" * 4096


@dataclass(frozen=True, slots=True)
class Machine:
    """The machine under the benchmarks."""

    processor: str
    core_count: int
    memory_mb: int
    python: str
    sqlite: str
    system: str
    file_system: str
    syncs_per_s: float
    load: float

    def lines(self) -> list[str]:
        """Describe it in a few lines."""
        disk = f"{self.file_system}, {self.syncs_per_s:,.0f} fdatasync/s of 4 KiB appends"
        return [
            f"{self.processor}, {self.core_count} cores, {self.memory_mb} MB, {self.system}",
            f"Python {self.python}, SQLite {self.sqlite}, {disk}, load {self.load:.1f} before the start",
        ]


def describe(directory: Path) -> Machine:
    """Look at the machine, and measure the disk under `directory`."""
    return Machine(
        processor=_processor(),
        core_count=os.cpu_count() or 1,
        memory_mb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        system=f"{platform.system()} {platform.release()}",
        file_system=_file_system(directory),
        load=os.getloadavg()[0],
        syncs_per_s=_syncs_per_s(directory / "sync"),
    )


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _file_system(directory: Path) -> str:
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return "unknown file system"
    fields = (line.split()[:3] for line in mounts.read_text().splitlines())
    above = [(point, kind) for _, point, kind in fields if directory.is_relative_to(point)]
    return max(above, key=lambda each: len(each[0]))[1] if above else "unknown file system"


def _syncs_per_s(file: Path) -> float:
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < SYNC_SECONDS:
            os.write(descriptor, SYNC_BYTES)
            os.fdatasync(descriptor)
            count += 1
        return count / (time.perf_counter() - start)
    finally:
        os.close(descriptor)
        file.unlink()
