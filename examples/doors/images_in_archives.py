"""Images in tar archives, decoded during training: `python images_in_archives.py`."""

import io
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

import thalweg as tw


def main(epochs: int = 5) -> float:
    """Write digits as WebDataset has them, train on the archives, and return the test accuracy."""
    digits = load_digits()
    with TemporaryDirectory() as place:
        for shard in range(3):
            with tarfile.open(Path(place) / f"digits-{shard}.tar", "w") as archive:
                for number in range(shard, len(digits.target), 3):
                    picture = io.BytesIO()
                    Image.fromarray((digits.images[number] * 15).astype(np.uint8)).save(picture, "PNG")
                    _add(archive, f"{number:05}.png", picture.getvalue())
                    _add(archive, f"{number:05}.cls", str(digits.target[number]).encode())
        return tw.fit(f"{place}/digits-*.tar", stream=True, epochs=epochs).result["test_metrics"]["accuracy"]


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


if __name__ == "__main__":
    print(f"test accuracy {main():.3f}")
