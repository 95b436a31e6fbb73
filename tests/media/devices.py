"""An imitation of a hardware decoder, for machines without one: what it gives is not computed by a
device, but has the form of what a device gives, and its faults.
"""

import os
from collections.abc import Callable
from typing import Any

import av

from emoscan.errors import MediaError
from emoscan.media import container, video
from emoscan.media.hardware import Hardware
from emoscan.options import NO_HARDWARE

DEVICE = "imitation"
FAULTS = ("none", "raises", "drops", "ends", "cannot open", "not the first")
FAULTY_FRAME = 23
# These end the process.
DEADLY_FAULTS = ("dies", "dies at once")


class Device:
    """Decodes in software, to frames as hardware stores them, until its fault."""

    def __init__(self, fault: str = "none") -> None:
        self.fault = fault
        self.containers: list[Any] = []

    def install(self, replace: Callable[[Any, str, Any], None]) -> None:
        """Have `Video` find it, by something like `setattr`."""
        replace(video, "choose_hardware", self.choose)
        replace(video, "accelerated", lambda device: device)
        replace(video, "open_container", self.open)
        replace(video, "decode", self.decode)

    def choose(self, *_: object) -> Hardware:
        if self.fault == "dies at once":
            os._exit(9)
        return Hardware(DEVICE, f"{DEVICE} is used.")

    def open(self, file, hwaccel=None):
        if hwaccel and self.fault == "cannot open":
            raise MediaError("wrong words") from PermissionError(1, "Operation not permitted")
        opened = container.open_container(file)
        self.containers += [opened] if hwaccel else []
        return opened

    def decode(self, stream, packet, failed):
        frames = container.decode(stream, packet, failed)
        if not any(stream.container is mine for mine in self.containers):
            return frames
        return [as_hardware_stores(f) for f in frames if self._gives(f, failed)]

    def _gives(self, frame: av.VideoFrame, failed) -> bool:
        if self.fault == "not the first":
            failed(av.error.ArgumentError(22, "Invalid argument"))
        if frame.pts is None or frame.pts < FAULTY_FRAME:
            return True
        if self.fault == "dies":
            os._exit(9)
        if self.fault == "raises":
            failed(av.error.ExternalError(1, "Generic error in an external library"))
        return self.fault == "none" or (self.fault == "drops" and frame.pts != FAULTY_FRAME)


def as_hardware_stores(frame: av.VideoFrame) -> av.VideoFrame:
    """Its chroma in one plane, or its 10 bits in the upper ones of 16."""
    stored = {"yuv420p": "nv12", "yuvj420p": "nv12", "yuv420p10le": "p010le"}
    levels = frame.color_range
    turned = frame.reformat(
        format=stored[frame.format.name], src_color_range=levels, dst_color_range=levels
    )
    turned.pts, turned.color_range = frame.pts, levels
    return turned


def main() -> None:
    """What a decoder's process runs instead of its own `main`: argv is key, device, fault."""
    import sys

    from emoscan.media import decoder

    if sys.argv[2] != NO_HARDWARE:
        Device(sys.argv[3]).install(setattr)
    decoder.main(*sys.argv[1:3])
