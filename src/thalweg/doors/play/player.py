"""`Player`: plays a `Playground` in a thread, at the pace of the pages that watch it.

A page asks for the next frame when it has drawn the last one, and the next frame is trained and packed while
it draws: at most one frame waits, however slow the browser. Where no page asks, nothing is trained.
"""

import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from thalweg.core.errors import ThalwegError
from thalweg.doors.page.local import Refused
from thalweg.doors.play.frames import Arrays, add_pictures, controls, drawn, lane, packed
from thalweg.insight.play.session import Playground
from thalweg.insight.play.sources import NAMED, SURFACE, TABLE, Source, drawn_source, named_source
from thalweg.insight.tape.listing import text as listing
from thalweg.problem.surfaces import SURFACES
from thalweg.run.folder.filesystem import plain

# Seconds between two frames at least: those of a screen.
FRAME_SECONDS = 1 / 60
# Updates in a frame that can be chosen.
SPEEDS = (1, 2, 4, 8, 16, 32, 64)
# Characters of a tape that are shown.
LONGEST_TAPE = 60_000


class Seen(NamedTuple):
    """What a page has already: numbers of a frame, of the settings and of the scene; -1 for none."""

    frame: int = -1
    settings: int = -1
    scene: int = -1


class Player:
    """Plays a playground, and does what pages ask for.

    Args:
        playground: What is played.
        clock, sleep: Seconds, and how to wait for some.
    """

    def __init__(
        self,
        playground: Playground,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ):
        self.playground, self._clock, self._sleep = playground, clock, sleep
        own = playground.source
        self._own = own if own.name == TABLE or own.options else None
        self._changed = threading.Condition()
        self._train = threading.Lock()  # held while the playground is used
        self.playing, self.speed = False, _speed_for(own)
        self._frame, self._delivered, self._renewed = 0, -1, 0
        self._settings, self._scene = 0, 0
        self._failure: str | None = None
        self.ended = False
        self._packed: dict[Any, bytes] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Start the thread that trains."""
        self._thread.start()

    def end(self) -> None:
        """End it, and answer pages that wait."""
        with self._changed:
            self.ended = True
            self._changed.notify_all()

    def do(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        """Do what a page asks for.

        Args:
            wish: One action by name, with its value.

        Raises:
            Refused: There is no such action, or it cannot be done.
            BadInput: Its value is impossible.
        """
        if len(wish) != 1 or next(iter(wish)) not in ACTIONS:
            raise Refused(f"the request must be one of {', '.join(ACTIONS)}")
        name, value = next(iter(wish.items()))
        with self._train:
            answer = ACTIONS[name](self, value) or {}
            self._advance_frame()
        return answer

    def next_frame(self, seen: Seen, seconds: float) -> bytes | None:
        """Return the newest frame once there is one that a page has not seen; None if none comes in time."""
        with self._changed:
            new = self._changed.wait_for(lambda: self.ended or self._frame != seen.frame, seconds)
            if not new or self.ended:
                return None
        with self._train:
            key = (self._frame, seen)
            if key not in self._packed:
                self._packed = {key: self._pack(seen)}
            packed = self._packed[key]
        with self._changed:
            self._delivered = key[0]
            self._changed.notify_all()
        return packed

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self.ended or (self.playing and self._delivered >= self._frame)
                )
                if self.ended:
                    return
            started = self._clock()
            with self._train:
                if self.playing:
                    self._play()
            self._sleep(max(0.0, FRAME_SECONDS - (self._clock() - started)))

    def _play(self) -> None:
        try:
            self.playground.advance(self.speed)
            if self.playground.finished:
                self.playing = False
        except Exception as error:  # a thread has no caller who could report it
            self.playing = False
            self._failure = str(error) if isinstance(error, ThalwegError) else _as_bug(error)
        self._advance_frame()

    def _advance_frame(self) -> None:
        with self._changed:
            self._frame += 1
            self._changed.notify_all()

    # ---- what a page may ask for ----

    def _play_or_pause(self, value: Any) -> None:
        if not isinstance(value, bool):
            raise Refused("play must be true or false")
        if value and self.playground.finished:
            diverged = self.playground.step < self.playground.length
            why = "it has diverged: lower the learning rate, then reset" if diverged else _AT_THE_END
            raise Refused(why)
        self.playing, self._failure = value, None

    def _step(self, value: Any) -> None:
        if value is not True:
            raise Refused("step must be true")
        if self.playground.finished:
            raise Refused(_AT_THE_END)
        self.playing = False
        self.playground.advance(1)

    def _reset(self, value: Any) -> None:
        if value is not True:
            raise Refused("reset must be true")
        self.playing, self._failure = False, None
        self.playground.reset()
        self._renew()

    def _change(self, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or not value:
            raise Refused("change must hold settings")
        restarted = self.playground.change(value)
        self._settings += 1
        if restarted:
            self._renew()
        return {"restarted": restarted}

    def _pin(self, value: Any) -> None:
        if value is not True:
            raise Refused("pin must be true")
        self.playground.pin()
        self._settings += 1
        self._renew()

    def _unpin(self, value: Any) -> None:
        self.playground.unpin(value)
        self._settings += 1
        self._renew()

    def _source(self, value: Any) -> None:
        if value == TABLE and self._own is None:
            raise Refused("no table was named when the playground was started")
        if not isinstance(value, str) or value not in (*NAMED, *SURFACES, TABLE):
            raise Refused("there is no such data set")
        own = self._own
        self._show(own if own is not None and value == own.name else named_source(value))

    def _points(self, value: Any) -> None:
        self._show(drawn_source(value))

    def _show(self, source: Source) -> None:
        before = self.playground.source
        self.playing, self._failure = False, None
        self.playground.show(source)
        if _speed_for(source) != _speed_for(before):
            self.speed = _speed_for(source)
        self._scene += 1
        self._settings += 1
        self._renew()

    def _set_speed(self, value: Any) -> None:
        if isinstance(value, bool) or value not in SPEEDS:
            raise Refused(f"speed must be one of {', '.join(map(str, SPEEDS))} updates a frame")
        self.speed = value

    def _tape(self, value: Any) -> dict[str, Any]:
        if value is not True:
            raise Refused("tape must be true")
        tape = self.playground.tape()
        if tape is None:
            raise Refused("make a single step first: the tape records one update")
        return {"tape": listing(tape)[:LONGEST_TAPE]}

    def _renew(self) -> None:
        """Make pages throw their curves away and read all of them."""
        self._renewed = self._frame + 1

    # ---- frames ----

    def _pack(self, seen: Seen) -> bytes:
        playground = self.playground
        header: dict[str, Any] = {
            "frame": self._frame,
            "scene": self._scene,
            "settings": self._settings,
            "step": playground.step,
            "length": playground.length,
            "playing": self.playing,
            "speed": self.speed,
            "finished": playground.finished,
            "failure": self._failure,
        }
        whole = seen.frame != self._frame - 1 or seen.frame < self._renewed
        arrays = Arrays()
        header["largest"] = add_pictures(playground, arrays)
        header["whole"] = whole
        header["lanes"] = [lane(view, whole) for view in playground.views]
        if seen.settings != self._settings:
            header["controls"] = controls(playground)
        if seen.scene != self._scene:
            header["drawn"] = drawn(playground, self._own, arrays)
        header["arrays"] = arrays.places
        return packed(plain(header), arrays.content)


_AT_THE_END = "all planned updates are made: reset, or plan more"

ACTIONS: dict[str, Callable[[Player, Any], dict[str, Any] | None]] = {
    "play": Player._play_or_pause,
    "step": Player._step,
    "reset": Player._reset,
    "change": Player._change,
    "pin": Player._pin,
    "unpin": Player._unpin,
    "source": Player._source,
    "points": Player._points,
    "speed": Player._set_speed,
    "tape": Player._tape,
}


def _speed_for(source: Source) -> int:
    """Return the updates of a frame to begin with: a path is seen step by step."""
    return 1 if source.kind == SURFACE else 4


def _as_bug(error: Exception) -> str:
    traceback.print_exception(error)
    return f"a bug in Thalweg ended the training: {type(error).__name__}"
