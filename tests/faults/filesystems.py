"""Other file systems: no file locks, stale handles, late names, failing close and sync, no permission."""

import errno
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

from tests.faults.bench import (
    BAD_INPUT,
    NO_COMPILER,
    SHORTAGE,
    Bench,
    fault,
    has_library,
    refused_well,
    small_bench,
    until_saved,
)
from tests.faults.system_calls import FAIL
from tests.faults.tally import Line
from tests.faults.victim import scratch

EQUAL = "it equals the undisturbed run byte for byte"
FITS = f"it succeeds with every byte in place, or fails with a Thalweg error; resumed, {EQUAL}"
NO_LOCKS = {"ENOLCK": errno.ENOLCK, "ENOTSUP": errno.ENOTSUP, "ENOSYS": errno.ENOSYS}
DAMAGED = 3


def filesystems(full: bool) -> Iterator[Line]:
    """Try all of these, with one undisturbed run to compare with."""
    if not has_library():
        yield Line("other file systems", "", skipped=NO_COMPILER)
        return
    with scratch() as place:
        bench = small_bench(Path(place))
        yield _no_locks(bench, list(NO_LOCKS) if full else ["ENOLCK"])
        yield _late_names(bench, 24 if full else 1)
        yield _stale(bench, 42 if full else 2)
        for call, name, errors in (
            ("close", "closing", (errno.ENOSPC, errno.EDQUOT)),
            ("sync", "syncing", (errno.EIO,)),
        ):
            yield _losing(bench, call, name, errors, 24 if full else 1)
        yield _read_only(bench, 12 if full else 1)


def _no_locks(bench: Bench, names: list[str]) -> Line:
    line = Line(
        "`flock` fails (ENOLCK, ENOTSUP, ENOSYS): start, a second process, SIGKILL, resume",
        f"the second is refused with exit code 2; resumed, {EQUAL}",
    )
    for name in names:
        folder = bench.place / f"no-locks-{name}"
        armed = fault(folder, flock=NO_LOCKS[name])
        process = bench.start(*bench.fit(folder), **armed)
        until_saved(folder, process)
        process.send_signal(signal.SIGSTOP)  # it must live until the second has started
        second = bench.run("resume", str(folder), "-q", **armed)
        refused = second.returncode == BAD_INPUT and "one process at a time" in second.stdout
        wrong = None if refused else f"the second: {second.returncode} {second.stdout[-300:]}"
        process.kill()
        process.communicate()
        wrong = wrong or bench.resume(folder, **armed) or bench.different(folder)
        line.add(wrong and f"{name}: {wrong}")
        shutil.rmtree(folder)
    return line


def killed(bench: Bench, folder: Path, after: int = 1) -> None:
    """Leave a run that was killed after some checkpoints."""
    process = bench.start(*bench.fit(folder))
    while process.poll() is None and len(list(folder.glob("checkpoints/step-*"))) < after:
        until_saved(folder, process)
    process.kill()
    process.communicate()


def _late_names(bench: Bench, times: int) -> Line:
    """Resume where the newest names that another machine made are not visible yet."""
    line = Line(
        "a killed run is read and resumed by a machine that does not see its newest names yet",
        f"no traceback; `fit --resume auto` succeeds or is refused; resumed later, {EQUAL}",
    )
    rng = random.Random(12)
    for number in range(times):
        folder = bench.place / f"late-{number}"
        killed(bench, folder, 1 + number % 2)
        changes = sorted(path.stat().st_ctime for path in folder.rglob("*"))
        armed = fault(folder, unseen=f"{rng.choice(changes) - 1e-4:.6f}")
        wrong = None
        for command in ("show", "check"):
            done = bench.run(command, str(folder), **armed)
            wrong = wrong or refused_well(done, (0, BAD_INPUT, DAMAGED))
        done = bench.run(*bench.fit(folder), "--resume", "auto", **armed)
        line.count("resumed at once", int(done.returncode == 0))
        wrong = wrong or refused_well(done) or bench.resume(folder) or bench.different(folder)
        line.add(wrong and f"{armed['FAULT_UNSEEN']} of {changes}: {wrong}")
        shutil.rmtree(folder)
    return line


def _stale(bench: Bench, times: int) -> Line:
    line = Line(
        "ESTALE at one `open`, during `fit`, `resume`, `show`, `check`, `predict` and `report`",
        f"it succeeds or fails with a Thalweg error, no traceback; resumed, {EQUAL}",
    )
    rng = random.Random(13)
    folder, counted = bench.place / "stale", bench.place / "count"
    for number in range(times):
        name = ("predict", "resume", "fit", "report", "check", "show")[number % 6]
        shutil.rmtree(folder, ignore_errors=True)
        if name == "resume":
            killed(bench, folder)
        elif name != "fit":
            shutil.copytree(bench.whole, folder)
        command = _command(bench, name, folder)
        if name in ("fit", "resume"):
            calls = 60
        else:  # it changes nothing that matters, so that its calls can be counted first
            bench.run(*command, **fault(folder, call="open", count=counted))
            calls = int(counted.read_text())
        at = rng.randint(1, calls)
        armed = fault(folder, call="open", at=at, what=FAIL, errno=errno.ESTALE)
        wrong = refused_well(bench.run(*command, **armed), (0, BAD_INPUT, DAMAGED))
        if name in ("fit", "resume"):
            wrong = wrong or bench.resume(folder)
        wrong = wrong or bench.different(folder)
        line.add(wrong and f"{name}, open {at} of {calls}: {wrong}")
    return line


def _command(bench: Bench, name: str, folder: Path) -> list[str]:
    if name == "fit":
        return bench.fit(folder)
    if name == "resume":
        return [*bench.fit(folder), "--resume", "auto"]
    return [name, str(folder), *(["digits"] if name == "predict" else [])]


def _losing(bench: Bench, call: str, name: str, errors: tuple[int, ...], times: int) -> Line:
    """Let a call fail that says that what was written before it is lost."""
    names = ", ".join(errno.errorcode[number] for number in errors)
    line = Line(f"{name} a file fails once ({names}) and loses what was not synced, during `fit`", FITS)
    rng, folder, counted = random.Random(call), bench.place / f"losing-{call}", bench.place / "count"
    bench.run(*bench.fit(folder), **fault(folder, call=call, count=counted))
    calls = int(counted.read_text())
    shutil.rmtree(folder)
    for number in range(times):
        at, wanted = rng.randint(1, calls), errors[number % len(errors)]
        armed = fault(folder, call=call, at=at, what=FAIL, errno=wanted, lose=1)
        done = bench.run(*bench.fit(folder), **armed)
        wrong = refused_well(done, (0, BAD_INPUT, SHORTAGE))
        if done.returncode == 0:  # nothing may be missing
            wrong = wrong or bench.different(folder)
            wrong = wrong or refused_well(bench.run("check", str(folder)), (0,))
            if not (folder / "report.html").read_text().rstrip().endswith("</html>"):
                wrong = wrong or "the report is torn"
        else:
            line.count("refused")
            wrong = wrong or bench.resume(folder) or bench.different(folder)
        line.add(wrong and f"call {at} of {calls}, {errno.errorcode[wanted]}: {wrong}")
        shutil.rmtree(folder)
    return line


def _read_only(bench: Bench, times: int) -> Line:
    """Take the permission to write from a run in the middle, and give it back before it is resumed."""
    line = Line("the permission to write into the folder is taken during `thalweg fit`", FITS)
    for number in range(times):
        folder = bench.place / f"read-only-{number}"
        process = bench.start(*bench.fit(folder), unprivileged=True)
        until_saved(folder, process)
        _allow(folder, 0o555)
        output, _ = process.communicate()
        _allow(folder, 0o755)
        wrong = None
        if process.returncode not in (0, BAD_INPUT) or "Traceback" in output:
            wrong = f"it ended with {process.returncode}: {output[-300:]}"
        line.count("refused", int(process.returncode == BAD_INPUT))
        wrong = wrong or bench.resume(folder) or bench.different(folder)
        line.add(wrong)
        shutil.rmtree(folder)
    return line


def _allow(folder: Path, mode: int) -> None:
    for path in (folder, folder / "checkpoints"):
        path.chmod(mode)
