"""What this installation is: versions, device and model, for `emoscan info`."""

import platform
from importlib.metadata import version
from pathlib import Path

import av
import cv2
import pi_heif
import PIL
import torch
from PIL import features

from emoscan.emotion.checkpoint import load_weights
from emoscan.runtime import library_versions, serving_runtime

# What Pillow brings along to decode photos.
IMAGE_LIBRARIES = ("libjpeg_turbo", "zlib", "zlib_ng", "libtiff", "webp", "avif", "littlecms2")


def describe(weights: Path | None = None) -> dict[str, str]:
    """Names and values, in the order to print them. Raises MissingPartError for bad weights."""
    loaded = load_weights(weights)
    runtime = serving_runtime(has_ranges=bool(loaded.ranges))
    return {
        "emoscan": version("emoscan"),
        "Python": platform.python_version(),
        "torch": torch.__version__,
        "PyAV": f"{av.__version__} with FFmpeg {av.ffmpeg_version_info}",
        "OpenVINO": library_versions()["openvino"] or "not installed",
        "device": f"{runtime.device_name}, {runtime.backend.value}, {runtime.precision.value}",
        "model": loaded.about.model_id,
        "SHA-256": loaded.sha256,
        "trained on": _training(loaded.about.training_data),
        "accuracy": _accuracy(loaded.about.metrics),
    }


def describe_libraries() -> dict[str, str]:
    """The libraries inside the packages that read files from outside, which may need updates."""
    return {
        **{
            name: ".".join(map(str, number)) for name, number in sorted(av.library_versions.items())
        },
        "Pillow": PIL.__version__,
        **{
            name: features.version(name) or "unknown version"
            for name in IMAGE_LIBRARIES
            if features.check(name)
        },
        "libheif": f"{pi_heif.libheif_version()} in pi-heif {pi_heif.__version__}",
        "OpenCV": cv2.__version__,
        "safetensors": version("safetensors"),
        "pyarrow": version("pyarrow"),
    }


def _training(data: dict[str, object]) -> str:
    return (
        f"{data.get('name')}, {data.get('images')} images, {data.get('epochs')} epochs, "
        f"seed {data.get('seed')}, initialised {data.get('initialised')}, "
        f"selected on {data.get('selected_on')}"
    )


def _accuracy(metrics: dict[str, object]) -> str:
    shares = {
        name: figures["accuracy"]
        for name, figures in metrics.items()
        if isinstance(figures, dict) and "accuracy" in figures
    }
    return ", ".join(f"{share:.2%} on {name}" for name, share in shares.items()) or "not stated"
