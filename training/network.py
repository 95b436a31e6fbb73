"""The network while it is trained: parts that can rest, and a second head for FER+'s votes."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from emoscan.emotion.network import create_network
from emoscan.emotions import EMOTIONS

PARTS = ("stem", "layer1", "layer2", "layer3", "layer4", "head")
STEM_MODULES = ("conv1", "bn1")

# FER+'s classes that the second head learns: ours in their order, then contempt.
VOTE_CLASSES = (*EMOTIONS, "contempt")


class TrainingNetwork(nn.Module):
    """A ResNet18 with dropout before its head, and a second head beside it.

    The second head learns the shares of FER+'s votes (Barsoum et al. 2016, arXiv 1608.01041) over
    VOTE_CLASSES. Both heads are linear in the same features, so the mean of their logits is one
    head again, and the network that is saved costs nothing more; see `serving_state`.
    """

    def __init__(self, backbone: nn.Module, *, dropout: float, frozen: Sequence[str] = ()) -> None:
        super().__init__()
        head = backbone.fc
        assert isinstance(head, nn.Linear)
        self.head = head
        backbone.fc = nn.Identity()
        self.backbone = backbone
        self.votes = nn.Linear(head.in_features, len(VOTE_CLASSES))
        self.dropout = dropout
        self._frozen = tuple(frozen)
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(part_of(name) not in frozen)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 1, side, side) to (N, 7) logits of FER2013's labels and (N, 8) of FER+'s votes."""
        features = functional.dropout(self.backbone(inputs), self.dropout, self.training)
        return self.head(features), self.votes(features)

    def train(self, mode: bool = True) -> "TrainingNetwork":
        """Training mode, in which the norms of frozen parts keep their statistics."""
        super().train(mode)
        for name, module in self.named_modules():
            if isinstance(module, nn.BatchNorm2d) and part_of(name) in self._frozen:
                module.eval()
        return self

    def serving_state(self, votes_share: float) -> dict[str, Tensor]:
        """The state dict of the served network; its logits mix both heads in that share."""
        state = {name: tensor.clone() for name, tensor in self.backbone.state_dict().items()}
        votes = self.votes.state_dict()
        for name, tensor in self.head.state_dict().items():
            mixed = torch.lerp(tensor, votes[name][: len(EMOTIONS)], votes_share)
            state[f"fc.{name}"] = mixed.clone()
        return state

    def serving_network(self, architecture: str, votes_share: float) -> nn.Module:
        """The served network with these weights, in evaluation mode."""
        network = create_network(architecture)
        network.load_state_dict(self.serving_state(votes_share))
        return network.eval()


def part_of(name: str) -> str:
    """The one of PARTS to which a parameter or module of a network belongs."""
    # "backbone" is left out, so that a plain ResNet18's names work as well.
    names = name.removeprefix("backbone.").split(".")
    if names[0] in STEM_MODULES:
        return "stem"
    return names[0] if names[0] in PARTS else "head"
