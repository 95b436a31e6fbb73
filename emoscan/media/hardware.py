"""Hardware decoders: which of those that the user allows decodes a codec on this machine.

A device's frames are copied to the CPU's memory and made RGB as all others are, and what it does
not decode without fault software decodes: so rows stay as they are.
"""

from dataclasses import dataclass
from functools import cache

import av
from av.codec import Codec
from av.codec.hwaccel import HWAccel, HWDeviceType, hwdevices_available

from emoscan.errors import UsageError
from emoscan.media.container import reason
from emoscan.options import AUTO, NO_HARDWARE


class DeviceFailedError(Exception):
    """A device does not decode what is asked for; the text says why, to stand in brackets."""


@dataclass(frozen=True, slots=True)
class Hardware:
    """What decodes the videos of one codec: a `device`, such as cuda, or software where it is None.

    `note` is a sentence for the user where that is not what was asked for, or was left open.
    """

    device: str | None = None
    note: str | None = None


def require_known(wanted: str) -> None:
    """Raises UsageError unless `wanted` is none, auto or a type that this build of PyAV knows."""
    known = (NO_HARDWARE, AUTO, *hwdevices_available())
    if wanted not in known:
        raise UsageError(
            f"--hwaccel takes {', '.join(known[:-1])} or {known[-1]} with this build of PyAV, not "
            f"“{wanted}”."
        )


def choose_hardware(wanted: str, codec: Codec) -> Hardware:
    """The first device that opens, of those that `wanted` allows and the codec has a decoder for.

    For auto they are tried in FFmpeg's order.
    """
    if wanted == NO_HARDWARE:
        return Hardware()
    failures: dict[str, str] = {}
    for device in _devices(codec):
        if wanted in (AUTO, device):
            failure = _failure(device, codec.name)
            if failure is None:
                return Hardware(device, _told(wanted, device, codec))
            failures[device] = failure
    return Hardware(note=_why_software(wanted, codec, failures))


def accelerated(device: str) -> HWAccel:
    """What `av.open` takes. Whatever comes then is the device's: FFmpeg falls back to nothing."""
    return HWAccel(device, allow_software_fallback=False)


def _devices(codec: Codec) -> list[str]:
    configs = [config for config in codec.hardware_configs if config.is_supported]
    return [HWDeviceType(config.device_type).name for config in configs]


@cache
def _failure(device: str, codec_name: str) -> str | None:
    """Why a device cannot be opened, None if it can: one try for all videos of a codec."""
    try:
        accelerated(device).create(Codec(codec_name, "r"))
    except (av.error.FFmpegError, NotImplementedError, OSError) as error:
        return reason(error)
    return None


def _told(wanted: str, device: str, codec: Codec) -> str | None:
    return f"{codec.canonical_name} is decoded by {device}." if wanted == AUTO else None


def _why_software(wanted: str, codec: Codec, failures: dict[str, str]) -> str:
    name = codec.canonical_name
    if wanted == AUTO:
        tried = f" (tried: {', '.join(failures)})" if failures else ""
        return f"Nothing here decodes {name} by hardware{tried}: it is decoded in software."
    if not failures:
        return f"PyAV has no {name} decoder for {wanted}: {name} is decoded in software."
    return (
        f"--hwaccel {wanted} finds no device or no driver here (FFmpeg: {failures[wanted]}): "
        "videos are decoded in software."
    )
