"""Thalweg beside the frameworks that a user would pick instead, each as its documents show it.

MNIST's 60,000 training rows, plain SGD 0.01: 784-128-64-10 with batches of 32, and 784-512-10 with batches of
128. Thalweg is `tw.train`, with the history that it keeps; nobody has a validation part. What counts are
examples per second in epochs after the first. Import, preparation and first epochs are shown apart.
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
    found = {}
    for name, setting in SETTINGS.items():
        given = {"folder": str(data_folder()), "epochs": 1} | setting
        contestants = [Contestant("Thalweg", "train", given)]
        contestants += [
            Contestant(peer, module, given | ({"rows": 12_000} if quick else {}))
            for peer, module in PEERS.items()
        ]
        found[name] = contest(contestants, 1 if quick else ROUNDS)
    return {"rows": found}


def table(result: dict) -> str:
    """Return the table."""
    rows = []
    for setting, found in result["rows"].items():
        for name, of_name in found.items():
            if "error" in of_name:
                rows.append([NAMES[setting], name, of_name["error"], "", "", ""])
                continue
            ready = of_name["ready"]
            rows.append(
                [
                    NAMES[setting],
                    name,
                    shown(spread(rate / 1000 for rate in rates(of_name)), 1),
                    shown(spread(ratios(found["Thalweg"], of_name))),
                    f"{ready['import_seconds']:.1f}",
                    f"{ready['prepare_seconds']:.1f}",
                ]
            )
    return markdown(
        ["work", "", "thousand examples a second", "times Thalweg's time", "import, s", "preparation, s"],
        rows,
    )
