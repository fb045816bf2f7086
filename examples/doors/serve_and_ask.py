"""Serve a trained run and ask it over HTTP: `python serve_and_ask.py` (pip install 'thalweg[serve]')."""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.request import Request, urlopen

from sklearn.datasets import load_iris

import thalweg as tw
from thalweg.doors.serve.server import Server


def main(epochs: int = 20) -> list[dict]:
    """Return the answers for three flowers."""
    frame = load_iris(as_frame=True).frame
    with TemporaryDirectory() as place:
        folder = Path(place) / "run"
        tw.fit(frame, target="target", epochs=epochs, references=False, keep=folder)
        rows = frame.drop(columns="target").iloc[[0, 60, 120]].to_dict("records")
        with Server(tw.restore(folder), port=0) as server:
            content = json.dumps({"rows": rows}).encode()
            request = Request(f"{server.address}/predict", content, {"Content-Type": "application/json"})
            with urlopen(request) as answer:
                return json.load(answer)["predictions"]


if __name__ == "__main__":
    print(*main(), sep="\n")
