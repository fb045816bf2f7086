"""The time from the start of a process to the end of its first epoch: import, data and preparation, and, with
JAX, reading the compiled program from the cache on disk.

MNIST's 60,000 training rows. Processes run one at a time, in turn. One uncounted process of each comes first,
so that the caches of programs, files and Python's bytecode are warm. Thalweg records its history, as
`tw.train` does. Its last evaluations come after the epoch; no peer makes them, so they are not in these
seconds, only in `told_seconds`.
"""

import sys
import tempfile

from benchmarks.frameworks import NAMES, PEERS, SETTINGS
from benchmarks.machine import data_folder, markdown, shown, spread
from benchmarks.processes import Contestant, Failed, in_turn, once

ROUNDS = 7


def run(quick: bool) -> dict:
    """Measure both settings of `frameworks`."""
    rows: dict = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, setting in SETTINGS.items():
            if quick and name != "small":
                continue
            base = {"folder": str(data_folder()), "epochs": 1, "cold": True} | setting
            cached = base | {"cache": f"{folder}/keras"}
            # Bytecode is cached as for an installed package, even if Thalweg is in a read-only checkout.
            bytecode = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": f"{folder}/bytecode"}
            warm = bytecode | {"THALWEG_CACHE": f"{folder}/thalweg"}
            contestants = [Contestant("Thalweg", "train", base, warm)]
            contestants += [Contestant(peer, module, cached, bytecode) for peer, module in PEERS.items()]
            rows[name] = _in_turn(contestants, 1 if quick else ROUNDS)
    return {"rows": rows}


def _in_turn(contestants: list[Contestant], rounds: int) -> dict[str, dict]:
    results: dict[str, dict] = {}
    for contestant in contestants:
        try:
            results[contestant.label] = {"first": once(contestant), "processes": []}
        except Failed as error:
            results[contestant.label] = {"error": str(error)}
            print(error, file=sys.stderr)
    working = [contestant for contestant in contestants if "error" not in results[contestant.label]]
    for number in range(rounds):
        for contestant in in_turn(working, number):
            results[contestant.label]["processes"].append(once(contestant))
        seconds_ = {c.label: round(results[c.label]["processes"][-1]["process_seconds"], 2) for c in working}
        print(f"round {number + 1} of {rounds}: {seconds_}", file=sys.stderr)
    return results


def seconds(contestant: dict) -> list[float]:
    """Return the seconds since the start of the process, round by round."""
    return [process["process_seconds"] for process in contestant["processes"]]


def shares(contestants: dict, peer: str) -> list[float]:
    """Return Thalweg's time as a share of a peer's, round by round."""
    return [
        ours / theirs
        for ours, theirs in zip(seconds(contestants["Thalweg"]), seconds(contestants[peer]), strict=True)
    ]


def table(result: dict) -> str:
    """Return the table."""
    rows = []
    for setting, contestants in result["rows"].items():
        for name, contestant in contestants.items():
            if "error" in contestant:
                rows.append([NAMES[setting], name, contestant["error"], "", ""])
                continue
            total = spread(seconds(contestant))
            epoch = spread(process["seconds"] for process in contestant["processes"])
            rows.append(
                [NAMES[setting], name, shown(total), shown(epoch), shown(spread(shares(contestants, name)))]
            )
    return markdown(
        ["work", "", "process start to end of epoch 1, s", "of which the fit, s", "Thalweg's share of it"],
        rows,
    )
