"""Thalweg compared with the frameworks that a user would otherwise use, each as in its documentation.

MNIST's 60,000 training rows, plain SGD 0.01: 784-128-64-10 with batches of 32, and 784-512-10 with batches of
128. Thalweg is `tw.train`, which also records the history; no framework gets a validation split. The figure
is examples per second in epochs after the first. Import and preparation are shown separately.
"""

from benchmarks.machine import data_folder, markdown, shown, spread
from benchmarks.processes import Contestant, contest, rates, ratios

SETTINGS = {
    "small": {"sizes": [784, 128, 64, 10], "batch": 32},
    "large": {"sizes": [784, 512, 10], "batch": 128},
}
NAMES = {"small": "784-128-64-10, batch 32", "large": "784-512-10, batch 128"}
PEERS = {
    "Keras on JAX": "keras_on_jax",
    "scikit-learn": "scikit_learn",
    "PyTorch eager, by index": "pytorch",
    "Lightning": "lightning_fit",
    "skorch": "skorch_fit",
    "fastai": "fastai_fit",
}
ROUNDS = 5


def run(quick: bool) -> dict:
    """Measure both settings."""
    rows = {}
    for name, setting in SETTINGS.items():
        base = {"folder": str(data_folder()), "epochs": 1} | setting
        contestants = [Contestant("Thalweg", "train", base)]
        contestants += [
            Contestant(peer, module, base | ({"rows": 12_000} if quick else {}))
            for peer, module in PEERS.items()
        ]
        rows[name] = contest(contestants, 1 if quick else ROUNDS)
    return {"rows": rows}


def table(result: dict) -> str:
    """Return the table."""
    rows = []
    for setting, contestants in result["rows"].items():
        for name, contestant in contestants.items():
            if "error" in contestant:
                rows.append([NAMES[setting], name, contestant["error"], "", "", ""])
                continue
            ready = contestant["ready"]
            rows.append(
                [
                    NAMES[setting],
                    name,
                    shown(spread(rate / 1000 for rate in rates(contestant)), 1),
                    shown(spread(ratios(contestants["Thalweg"], contestant))),
                    f"{ready['import_seconds']:.1f}",
                    f"{ready['prepare_seconds']:.1f}",
                ]
            )
    return markdown(
        [
            "work",
            "",
            "thousand examples per second",
            "time relative to Thalweg",
            "import, s",
            "preparation, s",
        ],
        rows,
    )
