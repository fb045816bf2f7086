"""A table with its preparation as one ONNX file: `python onnx_runtime.py` (pip install 'thalweg[onnx]')."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime
import polars as pl

import thalweg as tw


def main(epochs: int = 20) -> float:
    """Train on raw cells, ask onnxruntime about some of them, and return the largest difference."""
    random = np.random.default_rng(0)
    size, kind = random.normal(50, 10, 400), random.choice(["oak", "ash", "elm"], 400)
    frame = pl.DataFrame(
        {"size": size, "kind": kind, "tall": np.where(size + 9 * (kind == "oak") > 53, "y", "n")}
    )
    with TemporaryDirectory() as place:
        folder = Path(place) / "run"
        tw.fit(frame, target="tall", epochs=epochs, references=False, keep=folder)
        path = tw.export(folder, Path(place) / "trees.onnx").path
        session = onnxruntime.InferenceSession(str(path))
        feeds = {"size": size[:5], "kind": kind[:5].astype(object)}
        (probabilities,) = session.run(["probabilities"], feeds)
        answers = tw.restore(folder).predict(frame.drop("tall").head(5))
        ours = np.stack([answers[f"probability_{name}"] for name in "ny"], axis=1)
        return float(np.abs(probabilities - ours).max())


if __name__ == "__main__":
    print(f"largest difference: {main():.2g}")
