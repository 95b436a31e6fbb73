"""Who is measured: emoscan in its variants, its peers, and decoding alone."""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# The options that differ from `pip install 'emoscan[fast]'` as it stands.
VARIANTS: dict[str, dict[str, Any]] = {
    "default": {},
    "stride_1": {"detector_stride": 1},
    "torch": {"backend": "torch"},
    "stride_1_torch": {"detector_stride": 1, "backend": "torch"},
}
# What the tables are held against: the whole detector on every frame, nothing rounded.
REFERENCE = "reference"
REFERENCE_OPTIONS = {"detector_stride": 1, "backend": "torch", "precision": "fp32"}

VARIANT_TITLES = {
    "default": "default",
    "stride_1": "stride 1",
    "torch": "torch alone",
    "stride_1_torch": "stride 1, torch alone",
}

PLAIN_AT_PX = 40


@dataclass(frozen=True, slots=True)
class Subject:
    """Who looks at a video, in which worker, and with what arguments beside the video."""

    name: str
    title: str
    worker: str
    arguments: dict[str, Any] = field(default_factory=dict)

    @property
    def is_slow(self) -> bool:
        """Whether it looks at the first seconds alone."""
        return self.worker in ("fer", "plain")


PEERS = (
    Subject("fer", "fer, MTCNN, as it comes (min face 20 px)", "fer"),
    Subject("fer_40", "fer, MTCNN, its detector set to 40 px", "fer", {"min_face_px": PLAIN_AT_PX}),
    Subject("plain", "plain loop over facenet-pytorch, min face 40 px", "plain"),
    Subject("decode", "decoding alone (PyAV to RGB)", "decode"),
)
SUBJECTS = {
    subject.name: subject
    for subject in (
        *PEERS,
        *(Subject(name, f"emoscan, {title}", name) for name, title in VARIANT_TITLES.items()),
    )
}


def command(worker: str, *, peers: Path) -> list[str]:
    """The command line that starts a worker; `peers` is the peers' venv."""
    if worker == "fer":
        return [str(peers.absolute() / "bin" / "python"), "-m", "benchmarks.speed.fer_worker"]
    if worker in ("plain", "decode"):
        return [sys.executable, "-m", "benchmarks.speed.worker", worker]
    options = REFERENCE_OPTIONS if worker == REFERENCE else VARIANTS[worker]
    return [sys.executable, "-m", "benchmarks.speed.worker", "emoscan", json.dumps(options)]
