"""How emoscan's weights are trained and measured; `emoscan train` and `evaluate` run it.

From Python, `create_resnet18_model` and `train_and_validate` are the documented fine-tuning in two
calls. They are loaded on first use, so that importing this package loads no torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from training.simple import create_resnet18_model, make_loaders, train_and_validate

__all__ = ["create_resnet18_model", "make_loaders", "train_and_validate"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'training' has no attribute {name!r}")
    from training import simple

    return getattr(simple, name)
