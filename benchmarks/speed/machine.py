"""What the figures were measured on."""

import os
import platform
import subprocess
from pathlib import Path
from typing import Any

FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_bf16", "amx_int8")
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def machine() -> dict[str, Any]:
    """Processor, its vector and matrix instructions, threads, and how busy it was already."""
    import torch

    return {
        "cpu": _cpu_field("model name") or platform.processor() or platform.machine(),
        "family_model_stepping": [_cpu_field(x) for x in ("cpu family", "model", "stepping")],
        "flags": [flag for flag in FLAGS if flag in _cpu_field("flags").split()],
        "cores": len(os.sched_getaffinity(0)),
        "torch_threads": torch.get_num_threads(),
        "thread_variables": {x: os.environ[x] for x in THREAD_VARIABLES if x in os.environ},
        "load_before": os.getloadavg()[0],
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
    }


def versions() -> dict[str, str | None]:
    """Of what does the work; None is not installed."""
    from emoscan.runtime import installed_version, library_versions

    emoscan = f"{installed_version('emoscan') or 'not installed'}{_commit()}"
    return {"emoscan": emoscan} | library_versions()


def _commit() -> str:
    """Of the code that is measured, "" where that is not known."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    folder = Path(__file__).parent
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):  # no git, or no repository
        return ""
    return f" ({done.stdout.strip()})"


def _cpu_field(name: str) -> str:
    """Of the first processor in /proc/cpuinfo, "" where there is none."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    fields = (line.partition(":") for line in lines)
    return next((value.strip() for key, _, value in fields if key.strip() == name), "")
