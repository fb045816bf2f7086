"""A PyTorch loader in, a PyTorch module out: `python pytorch_both_ways.py`."""

import importlib.util
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, TensorDataset

import thalweg as tw


def main(epochs: int = 5) -> float:
    """Train on a loader, export the network as a module, and return how far both are from each other."""
    x, y = load_digits(return_X_y=True)
    inputs, labels = torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(y)
    loader = DataLoader(TensorDataset(inputs, labels), batch_size=64)
    with TemporaryDirectory() as place:
        run = tw.fit(loader, epochs=epochs, references=False, keep=Path(place) / "run")
        print(run)
        exported = tw.export(run.folder, Path(place) / "net.py")
        spec = importlib.util.spec_from_file_location("net", exported.path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        with torch.no_grad():
            print(module.load().predict(inputs[:3]))
        return exported.difference


if __name__ == "__main__":
    print(f"largest difference: {main():.2g}")
