"""Frames and boxes in, probabilities of the seven classes out, in batches."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from emoscan.device_squares import SquareViewer
from emoscan.emotion.checkpoint import Checkpoint, LoadedCheckpoint, load_weights, require_ranges
from emoscan.emotion.crop import TurnedSquares, crop_faces, normalise, to_input
from emoscan.emotion.eight_bits import round_network
from emoscan.emotion.network import empty_network
from emoscan.errors import MissingPartError
from emoscan.graphs import ReplayedBatches
from emoscan.inference import made_ready
from emoscan.lanes import Lane, turn
from emoscan.options import Precision, Tta
from emoscan.runtime import Runtime, halving_on_out_of_memory
from emoscan.types import Emotions, Faces, Frame
from emoscan.uploads import UPLOADS, on_its_way_back

# A GPU wants large batches; elsewhere what is kept of each crop is to stay near the processor.
BATCH_CROPS, GPU_BATCH_CROPS = 256, 4096


class EmotionClassifier:
    """A network with its checkpoint's crop, normalisation and temperature."""

    def __init__(
        self,
        runtime: Runtime,
        weights: LoadedCheckpoint | Path | None = None,
        *,
        tta: Tta = Tta.NONE,
    ) -> None:
        """Load `weights`, by default the shipped ones. Raises MissingPartError."""
        loaded = weights if isinstance(weights, LoadedCheckpoint) else load_weights(weights)
        self.about: Checkpoint = loaded.about
        self.sha256 = loaded.sha256
        self._runtime = runtime
        self._tta = tta
        side = self.about.crop.side_px
        rounds = runtime.precision is Precision.INT8
        network = rounded_network_of(loaded) if rounds else network_of(loaded)
        self._logits = made_ready(network, torch.zeros(1, 1, side, side), runtime)
        self._replayed = ReplayedBatches()
        self._viewer = SquareViewer(self._of_levels, out_px=side, gray=True)

    def classify(self, frames: Sequence[Frame], faces: Sequence[Faces]) -> list[Emotions]:
        """One Emotions a frame, for its faces in their order."""
        if not frames:
            return []
        if self._runtime.keeps_pictures:
            probabilities = self._seen_on_device(frames, faces)
        else:
            probabilities = self._by_batch(self._crops(frames, faces)).probabilities
        borders = np.cumsum([len(its_faces) for its_faces in faces])[:-1]
        return [Emotions(part) for part in np.split(probabilities, borders)]

    def classify_crops(self, crops: NDArray[np.uint8]) -> Emotions:
        """Emotions of (N, side, side) uint8 gray crops."""
        return self._by_batch(torch.from_numpy(crops))

    def _crops(self, frames: Sequence[Frame], faces: Sequence[Faces]) -> torch.Tensor:
        """(N, side, side) uint8 of all faces of all frames."""
        crops = [
            crop_faces(frame.rgb(), its.boxes, self.about.crop, landmarks=its.landmarks)
            for frame, its in zip(frames, faces, strict=True)
        ]
        return torch.from_numpy(np.concatenate(crops))

    @torch.inference_mode()
    def _seen_on_device(
        self, frames: Sequence[Frame], faces: Sequence[Faces]
    ) -> NDArray[np.float32]:
        """(N, 7) of all faces, whose crops are cut and classified where the pictures are.

        Of these crops some levels differ by one from those that are cut in the main memory.
        """
        uploads = [UPLOADS.of(frame, self._runtime.device) for frame in frames]
        its = TurnedSquares.of(faces, self.about.crop)
        return self._viewer.look(
            uploads, frames=its.frames, squares=its.squares, turns_deg=its.turns_deg
        )

    @torch.inference_mode()
    def _by_batch(self, crops: torch.Tensor) -> Emotions:
        device = self._runtime.device
        most = GPU_BATCH_CROPS if self._runtime.keeps_pictures else BATCH_CROPS

        def classified(size: int) -> Callable[[], NDArray[np.float32]]:
            with turn(device, Lane.FACES):
                batches = crops.to(device).split(size)
                parts = [self._replayed(self._probabilities, batch) for batch in batches]
                return on_its_way_back(torch.cat(parts))

        return Emotions(halving_on_out_of_memory(classified, most)())

    def _probabilities(self, crops: torch.Tensor) -> torch.Tensor:
        """(N, 7) of (N, side, side) uint8 crops."""
        return self._of_inputs(to_input(crops, self.about.normalisation))

    def _of_levels(self, levels: torch.Tensor) -> torch.Tensor:
        """(N, 7) of the same as (N, 1, side, side) float32 in 0..255."""
        return self._of_inputs(normalise(levels / 255, self.about.normalisation))

    def _of_inputs(self, inputs: torch.Tensor) -> torch.Tensor:
        probabilities = self._forward(inputs)
        if self._tta is Tta.FLIP:
            probabilities = (probabilities + self._forward(inputs.flip(3))) / 2
        return probabilities

    def _forward(self, levels: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self._logits(levels) / self.about.temperature, dim=1)


def network_of(loaded: LoadedCheckpoint) -> nn.Module:
    """In fp32, in evaluation mode. Raises MissingPartError where the weights do not fit."""
    network = empty_network(loaded.about.architecture)
    state = {
        name: tensor.float() if tensor.is_floating_point() else tensor
        for name, tensor in loaded.state.items()
    }
    try:
        network.load_state_dict(state, assign=True)
    except RuntimeError as error:
        raise MissingPartError(f"{loaded.path} does not fit its network: {error}") from error
    return network.eval().requires_grad_(False)


def rounded_network_of(loaded: LoadedCheckpoint) -> nn.Module:
    """The same, rounded to eight bits. Raises MissingPartError where there are no ranges for it."""
    require_ranges(loaded)
    try:
        return round_network(network_of(loaded), loaded.ranges)
    except ValueError as error:
        raise MissingPartError(f"{loaded.path}: {error}; add --precision fp32.") from error
