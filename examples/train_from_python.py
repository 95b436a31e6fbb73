"""The documented fine-tuning from Python, in two calls.

    python examples/train_from_python.py fer2013 --epochs 10

Without a network, `--init scratch` starts from random weights, which is another experiment.
"""

import argparse
from pathlib import Path

import torch

from training import create_resnet18_model, make_loaders, train_and_validate


def main() -> None:
    """Train, and print one line an epoch."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="FER2013 in the Kaggle layout")
    parser.add_argument("--init", default="imagenet", help="imagenet, scratch or a file")
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args()

    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    train_loader, test_loader = make_loaders(args.data)
    model = create_resnet18_model(num_classes=7, init=args.init).to(device)
    history = train_and_validate(
        model, train_loader, test_loader, num_epochs=args.epochs, learning_rate=0.0001
    )
    rows = zip(history["train_accuracy"], history["val_accuracy"], strict=True)
    for epoch, (training, validation) in enumerate(rows, start=1):
        print(f"epoch {epoch:>2}  training {training:.2%}  test {validation:.2%}")


if __name__ == "__main__":
    main()
