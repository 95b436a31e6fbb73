import os
import platform
from pathlib import Path

import pytest
import torch

from emoscan.errors import UsageError
from emoscan.heap import give_back_memory
from emoscan.options import Precision
from emoscan.runtime import choose_runtime, halving_on_out_of_memory, is_faster_in_bf16


def without_gpus(monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def with_cuda(monkeypatch, count: int) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")


def test_auto_falls_back_and_says_so(monkeypatch) -> None:
    without_gpus(monkeypatch)
    runtime = choose_runtime()
    assert (runtime.device.type, runtime.precision) == ("cpu", Precision.FP32)
    assert "No GPU found" in (runtime.note or "")


def test_auto_takes_the_gpu(monkeypatch) -> None:
    with_cuda(monkeypatch, 2)
    runtime = choose_runtime()
    assert (str(runtime.device), runtime.precision) == ("cuda:0", Precision.FP16)
    assert runtime.dtype is torch.float16


@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps"])
def test_a_device_asked_for_is_never_replaced(monkeypatch, device: str) -> None:
    without_gpus(monkeypatch)
    with pytest.raises(UsageError, match=f"--device {device.split(':', maxsplit=1)[0]}"):
        choose_runtime(device)


def test_a_gpu_beyond_the_last_is_refused(monkeypatch) -> None:
    with_cuda(monkeypatch, 2)
    assert str(choose_runtime("cuda:1").device) == "cuda:1"
    with pytest.raises(UsageError, match="the last CUDA GPU here is cuda:1"):
        choose_runtime("cuda:2")


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "", "meta", "cpu:x"])
def test_unknown_devices_are_refused(device: str) -> None:
    with pytest.raises(UsageError, match="--device takes"):
        choose_runtime(device)


def test_a_cpu_computes_no_fp16() -> None:
    with pytest.raises(UsageError, match="fp16 needs a GPU"):
        choose_runtime("cpu", Precision.FP16)


def test_large_frames_make_small_batches() -> None:
    runtime = choose_runtime("cpu")
    sizes = [runtime.batch_frames(*size) for size in [(64, 48), (1280, 720), (3840, 2160)]]
    assert sizes == [8, 8, 1]


def test_memory_that_runs_out_halves_the_batch_until_one() -> None:
    tried: list[int] = []

    def run(size: int) -> int:
        tried.append(size)
        if size > 2:
            raise torch.OutOfMemoryError
        return size

    assert halving_on_out_of_memory(run, 10) == 2
    assert tried == [10, 5, 3, 2]

    def never(size: int) -> int:
        raise torch.OutOfMemoryError

    with pytest.raises(torch.OutOfMemoryError):
        halving_on_out_of_memory(never, 4)


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="others give it back by themselves")
def test_what_was_freed_goes_back_to_the_system() -> None:
    blocks = [b"x" * 100_000 for _ in range(1000)]  # too small for a mapping of its own
    full_mb = resident_mb()
    del blocks[:-1]  # the last one keeps the heap from shrinking
    assert resident_mb() > full_mb - 30
    give_back_memory()
    assert resident_mb() < full_mb - 50


def test_elsewhere_nothing_is_given_back(monkeypatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    give_back_memory()


@pytest.mark.parametrize(("vendor", "is_intel"), [("GenuineIntel", True), ("AuthenticAMD", False)])
def test_bf16_is_for_processors_that_are_faster_by_it(
    monkeypatch, vendor: str, is_intel: bool
) -> None:
    """On Linux no process is started to ask which one it is."""
    cpu = torch.device("cpu")
    monkeypatch.setattr("platform.processor", lambda: pytest.fail("it starts a process"))
    monkeypatch.setattr("pathlib.Path.read_text", lambda *_, **__: f"vendor_id\t: {vendor}\n")
    for able, is_faster in (
        ({"avx512_bf16": True}, not is_intel),
        ({"avx512_bf16": True, "amx_bf16": True}, True),
        ({"avx512_bf16": False}, False),
    ):
        monkeypatch.setattr("torch.cpu.get_capabilities", lambda able=able: able)
        assert is_faster_in_bf16(cpu) is is_faster


@pytest.mark.parametrize(
    ("name", "uname", "is_faster"),
    [
        ("Intel Xeon", "", False),
        ("AMD EPYC", "", True),
        ("", "Intel64 Family 6 Model 207, GenuineIntel", False),
        ("", "AMD64 Family 25 Model 17, AuthenticAMD", True),
    ],
)
def test_elsewhere_than_on_linux_torch_or_the_system_names_the_processor(
    monkeypatch, name: str, uname: str, is_faster: bool
) -> None:
    def none(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr("pathlib.Path.read_text", none)
    monkeypatch.setattr("platform.processor", lambda: uname)
    able = {"cpu_name": name, "avx512_bf16": True}
    monkeypatch.setattr("torch.cpu.get_capabilities", lambda: able)
    assert is_faster_in_bf16(torch.device("cpu")) is is_faster
