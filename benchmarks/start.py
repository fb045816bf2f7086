"""From the start of a process to the end of its first epoch: import, data, preparation, and with JAX the
compiled program from the cache on disk.

MNIST's 60,000 training rows. Processes run one at a time, in turn; one of each comes before and does not
count, so that caches of programs, of files and of Python's bytecode are warm. Thalweg keeps its history
meanwhile, as `tw.train` does. Its last evaluations come after the epoch: no peer has them, and they are not
in these seconds, but in `told_seconds`.
"""

import sys
import tempfile

from benchmarks.frameworks import NAMES, PEERS, SETTINGS
from benchmarks.machine import data_folder, markdown, shown, spread
from benchmarks.processes import Contestant, Failed, in_turn, once

ROUNDS = 7


def run(quick: bool) -> dict:
    """Measure both settings of `frameworks`."""
    found: dict = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, setting in SETTINGS.items():
            if quick and name != "small":
                continue
            given = {"folder": str(data_folder()), "epochs": 1, "cold": True} | setting
            cached = given | {"cache": f"{folder}/keras"}
            # As in an installed package, also where Thalweg lies in a checkout that nothing is written into.
            bytecode = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": f"{folder}/bytecode"}
            warm = bytecode | {"THALWEG_CACHE": f"{folder}/thalweg"}
            contestants = [Contestant("Thalweg", "train", given, warm)]
            contestants += [Contestant(peer, module, cached, bytecode) for peer, module in PEERS.items()]
            found[name] = _in_turn(contestants, 1 if quick else ROUNDS)
    return {"rows": found}


def _in_turn(contestants: list[Contestant], rounds: int) -> dict[str, dict]:
    found: dict[str, dict] = {}
    for contestant in contestants:
        try:
            found[contestant.label] = {"first": once(contestant), "processes": []}
        except Failed as error:
            found[contestant.label] = {"error": str(error)}
            print(error, file=sys.stderr)
    able = [contestant for contestant in contestants if "error" not in found[contestant.label]]
    for turn in range(rounds):
        for contestant in in_turn(able, turn):
            found[contestant.label]["processes"].append(once(contestant))
        told = {c.label: round(found[c.label]["processes"][-1]["process_seconds"], 2) for c in able}
        print(f"round {turn + 1} of {rounds}: {told}", file=sys.stderr)
    return found


def seconds(found: dict) -> list[float]:
    """Return seconds from the start of the process, round by round."""
    return [one["process_seconds"] for one in found["processes"]]


def shares(found: dict, peer: str) -> list[float]:
    """Return Thalweg's seconds as a share of a peer's, round by round."""
    return [one / other for one, other in zip(seconds(found["Thalweg"]), seconds(found[peer]), strict=True)]


def table(result: dict) -> str:
    """Return the table."""
    rows = []
    for setting, found in result["rows"].items():
        for name, of_name in found.items():
            if "error" in of_name:
                rows.append([NAMES[setting], name, of_name["error"], "", ""])
                continue
            whole = spread(seconds(of_name))
            epoch = spread(one["seconds"] for one in of_name["processes"])
            rows.append(
                [NAMES[setting], name, shown(whole), shown(epoch), shown(spread(shares(found, name)))]
            )
    return markdown(
        ["work", "", "process start to end of epoch 1, s", "of these the fit, s", "Thalweg's share of it"],
        rows,
    )
