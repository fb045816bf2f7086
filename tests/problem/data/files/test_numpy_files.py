import numpy as np
import pytest

from tests.problem.data.given import refused
from thalweg.core.errors import DataError
from thalweg.problem.data.load import load

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(60, 3)), np.arange(60) % 3


@pytest.mark.parametrize("names", [("x", "y"), ("X", "Y"), ("x_train", "y_train"), ("data", "target")])
def test_npz_by_its_usual_names(tmp_path, names):
    path = tmp_path / "pair.npz"
    np.savez(path, **dict(zip(names, (X, Y), strict=True)))
    assert load(path).fingerprint == load((X, Y)).fingerprint


def test_npz_with_a_test_split(tmp_path):
    path = tmp_path / "four.npz"
    np.savez_compressed(path, x_train=X, y_train=Y, x_test=X[:9] + 1, y_test=Y[:9])
    assert load(path).test.count() == 9
    aside = load(path, test=0.5)
    (note,) = [note for note in aside.notes if note.kind == "test"]
    assert aside.test.count() == 30 and "not used" in note.text


@pytest.mark.parametrize("target", [3, "3", -1, "column_3"])
def test_npy_is_a_table_with_its_target_among_the_columns(tmp_path, target):
    path = tmp_path / "table.npy"
    np.save(path, np.column_stack([X, Y]))
    data = load(path, target=target)
    assert (data.task, data.outputs, data.preparation.target) == ("classification", 3, "column_3")
    assert data.fingerprint == load((X, Y)).fingerprint


@pytest.mark.parametrize(
    ("make", "settings", "words"),
    [
        (lambda p: p.with_suffix(".npz").write_bytes(b"zzz"), {}, ("npz: the file must be whole",)),
        (lambda p: np.savez(p, a=X), {}, ("must hold x_train and y_train, or x and y", "got a")),
        (lambda p: np.savez(p, x=np.array([{}]), y=Y), {}, ("never unpickled", "objects")),
        (lambda p: np.savez(p, x=X, y=Y[:9]), {}, ("same number of rows", "60 and 9")),
        (
            lambda p: p.with_suffix(".npy").write_bytes(b"zzz"),
            {"target": 0},
            ("npy: the file must be whole",),
        ),
        (lambda p: np.save(p, X[:, 0]), {"target": 0}, ("at least two columns", "(60,)")),
        (lambda p: np.save(p, X), {}, ("needs a target, the column to predict", "target='column_2'")),
        (lambda p: np.save(p, X), {"target": 3}, ("must lie in 0..2", "got 3")),
        (lambda p: np.save(p, X), {"target": "colum_1"}, ("did you mean 'column_1'?",)),
    ],
)
def test_broken_files_are_refused(tmp_path, make, settings, words):
    make(tmp_path / "made")
    (path,) = tmp_path.iterdir()
    with refused(*words):
        load(path, **settings)


@pytest.mark.parametrize("ending", [".npz", ".npy"])
@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_truncated_files_are_refused(tmp_path, ending, share):
    path = tmp_path / f"whole{ending}"
    np.savez(path, x=X, y=Y) if ending == ".npz" else np.save(path, X)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with refused("the file must be whole", str(path)):
        load(path, target=0 if ending == ".npy" else None)


def test_a_flipped_byte_in_an_npz_is_noticed(tmp_path):
    path = tmp_path / "flipped.npz"
    np.savez_compressed(path, x=X, y=Y)
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 0xFF
    path.write_bytes(content)
    with refused("the file must be whole"):
        load(path)


@pytest.mark.parametrize("ending", [".npz", ".npy"])
def test_damage_never_raises_another_error(tmp_path, ending):
    """Bytes changed, removed or added at random give data or a DataError, never a crash."""
    path = tmp_path / f"whole{ending}"
    np.savez(path, x=X, y=Y) if ending == ".npz" else np.save(path, np.column_stack([X, Y]))
    whole, refusals = path.read_bytes(), 0
    for seed in range(150):
        random = np.random.default_rng(seed)
        content, at = bytearray(whole), int(random.integers(len(whole)))
        content[at : at + int(random.integers(0, 9))] = random.bytes(int(random.integers(0, 9)))
        path.write_bytes(content)
        try:
            load(path, target=0)
        except DataError:
            refusals += 1
    assert refusals > 30
