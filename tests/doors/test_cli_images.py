"""A folder of images on the command line, as processes: fit, predictions with file names, refusals."""

import json

import numpy as np
import polars as pl
import pytest
from PIL import Image

from tests.doors.process import thalweg


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    at = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(0)
    for split, count in (("Training", 30), ("VAL", 6), ("Testing", 11)):
        for label, level in (("dark", 20), ("light", 180)):
            (at / "set" / split / label).mkdir(parents=True)
            for i in range(count):
                pixels = random.integers(level, level + 60, (24, 32)).astype(np.uint8)
                Image.fromarray(pixels).save(at / "set" / split / label / f"img{i}.bmp")
    (at / "set" / "VAL" / "dark" / "broken.bmp").write_bytes(b"BM")
    return at


def test_from_fit_to_predict(folder):
    fit = (
        "fit",
        "set",
        "--size",
        "8x6",
        "--model",
        "linear",
        "--epochs",
        8,
        "--out",
        "run",
        "--json",
        "--quiet",
    )
    refused = thalweg(*fit, at=folder)
    assert (
        refused.returncode == 2 and "dark/broken.bmp" in refused.stderr and "--skip-broken" in refused.stderr
    )
    done = thalweg(*fit, "--skip-broken", at=folder)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"] == "linear:48-2"
    data = json.loads((folder / "run" / "problem.json").read_text())["data"]
    assert data["counts"] == {"train": 60, "validation": 12, "test": 22}
    assert data["source"]["options"] == {"size": "8x6", "skip_broken": True}
    names = [f"img{i}.bmp" for i in range(11)]
    for ending, read in ((".csv", pl.read_csv), (".parquet", pl.read_parquet)):
        out = f"answers{ending}"
        assert thalweg("predict", "run", "set/Testing/light", "--out", out, at=folder).returncode == 0
        answers = read(folder / out)
        assert answers.columns[:2] == ["file", "prediction"] and answers["file"].to_list() == names
        assert set(answers["prediction"]) == {"light"}
    single = thalweg("predict", "run", "set/Testing/dark/img10.bmp", "--json", at=folder)
    (answer,) = json.loads(single.stdout)["answers"]
    assert (answer["file"], answer["prediction"]) == ("img10.bmp", "dark")
