"""Videos decoded in a process of their own: what crashes it costs some frames of one file.

`decoder.py` is what runs there. Requests, answers and what becomes of frames are lines of JSON: not
pickles, through which a decoder that a hostile file has taken over could run code here. Pixels come
through shared memory and stay there while somebody holds them; those of more frames than it has
slots for are copied.
"""

import json
import os
import signal
import subprocess
import sys
from array import array
from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import ExitStack, closing, suppress
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from emoscan.errors import ChangedError, DecoderEndedError, MediaError, MissingPartError
from emoscan.media.find import MediaFile
from emoscan.media.packets import selected_indices
from emoscan.media.picture import OnDemand, Pixels
from emoscan.media.shared import SharedMemory
from emoscan.media.source import SOFTWARE, VideoInfo, VideoSource
from emoscan.media.watchdog import Watchdog
from emoscan.options import NO_HARDWARE, ScanOptions
from emoscan.types import Frame, Unreadable

Message = dict[str, Any]

# With the path of this process, for a script may have changed it; `-m` would look into the current
# folder first. Not `multiprocessing`, which imports the main module once more: a script without
# `if __name__ == "__main__"` would run twice.
BOOT = (
    "import sys; sys.path[:] = sys.argv[3:]; "
    "from emoscan.media.decoder import main; main(*sys.argv[1:3])"
)
# glibc's allocator: keep the memory of a frame for the next one. By default it is given back to the
# system and fetched again for each, which takes as long as the conversion to RGB.
ALLOCATION = {
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(128 * 2**20),
}
# What an orderly end of the process may take.
PATIENCE_S = 5.0
# It tells every second that there is progress: after so long a silence it hangs.
SILENCE_S = 60.0
# How far behind the place in a file that ended a process the next one begins, at least. Each is
# for one more end; after the last the rest of the file is given up.
SKIPS_S = (0.0, 1.0, 10.0, 60.0)
# So many processes may end with hardware, a driver's crash perhaps; then it is not used any more.
MOST_ENDS_WITH_HARDWARE = 3
# So many slots are left to the decoder, however many frames are held: one that it writes, one that
# is read, and one for the time in which either is late.
RESERVE = 3
# Which of the options say what to decode.
SAMPLING = ("fps", "every", "start_s", "end_s")


class ProcessEndedError(Exception):
    """The decoder's process is gone; the text says how it ended."""


class DecoderProcess:
    """Opens videos in another process, one after the other; a context manager.

    After a crash there is a new process. `hwaccel` is what RunOptions calls so; a file for which
    the process ends is tried again without it.
    """

    def __init__(self, *, hwaccel: str = NO_HARDWARE) -> None:
        self._hwaccel = hwaccel
        self._child: _Child | None = None
        self._opened: ProcessVideo | None = None
        self._aborted = False
        self._ends_with_hardware = 0
        self._software_for: MediaFile | None = None
        self._why_software: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        if error is not None and self._child is not None:  # an interrupt, say: nobody waits
            self._child.kill()
        self.close()

    @property
    def pid(self) -> int | None:
        """The process's id, None where there is none at present."""
        return self._child.pid if self._child else None

    def start(self) -> None:
        """Have the process load its libraries before the first file is there.

        Raises MissingPartError where none can be started.
        """
        self._usable_child(None)

    def open(self, file: MediaFile) -> "ProcessVideo":
        """As `open_video`. Raises MediaError, also where the process crashes."""
        _, info, time_s = self._open(file)
        self._opened = ProcessVideo(self, file, info=info, time_s=time_s)
        return self._opened

    def abort(self) -> None:
        """Have the process end at once and for good: whoever waits for it waits no more.

        For another thread than the one that uses it.
        """
        self._aborted = True
        child = self._child
        if child is not None:
            child.abort()

    def close(self) -> None:
        """End the process, whatever it is doing."""
        if self._child is not None:
            self._child.end()
        self._child = None

    def child_with(self, video: "ProcessVideo") -> "_Child":
        """The process in which this video is open, which may take opening it again.

        Raises MediaError, ProcessEndedError.
        """
        child = self._usable_child(video.file)
        if self._opened is not video:
            child, _, time_s = self._open(video.file)
            if not np.array_equal(time_s, video.time_s):
                raise ChangedError(video.file.source)
            self._opened = video
        return child

    def leave_hardware(self, file: MediaFile, ended: ProcessEndedError) -> bool:
        """Have this file decoded in software from now on; False where there is no other way."""
        if self._aborted or self._hwaccel_for(file) == NO_HARDWARE:
            return False
        self._software_for = file
        self._ends_with_hardware += 1
        given_up = self._hwaccel_for(None) == NO_HARDWARE
        whose = "this and what follows are" if given_up else f"{file.source} is"
        self._why_software = f"With --hwaccel {self._hwaccel} {ended}: {whose} decoded in software."
        return True

    def why_software(self, file: MediaFile) -> str | None:
        """A sentence for the user where this file had to be left to software, else None."""
        return self._why_software if file == self._software_for else None

    def _hwaccel_for(self, file: MediaFile | None) -> str:
        given_up = self._ends_with_hardware >= MOST_ENDS_WITH_HARDWARE
        left = file is not None and file == self._software_for
        return NO_HARDWARE if given_up or left else self._hwaccel

    def _open(self, file: MediaFile) -> tuple["_Child", VideoInfo, NDArray[np.float64]]:
        try:
            child = self._usable_child(file)
            self._opened = None
            return child, *child.open(file)
        except ProcessEndedError as ended:
            if self.leave_hardware(file, ended):
                return self._open(file)
            raise DecoderEndedError(f"{file.source} cannot be opened: {ended}.") from ended

    def _usable_child(self, file: MediaFile | None) -> "_Child":
        hwaccel = self._hwaccel_for(file)
        if self._child is None or not self._child.is_idle() or self._child.hwaccel != hwaccel:
            self.close()
            self._opened = None
            if self._aborted:
                raise ProcessEndedError("the decoder's process was ended")
            self._child = _Child(hwaccel)
            if self._aborted:  # the other thread came in between
                self._child.abort()
        return self._child


class ProcessVideo(VideoSource):
    """As `VideoSource`, decoded elsewhere; `DecoderProcess.open` makes it.

    Where the process ends, by a crash or because it hung, a new one goes on at a key frame behind
    that place; the frames between are unreadable, and `damage` says so. Where hardware decoded, a
    new one goes on in software first, and loses none.
    """

    decodes_ahead = True

    def __init__(
        self,
        decoder: DecoderProcess,
        file: MediaFile,
        *,
        info: VideoInfo,
        time_s: NDArray[np.float64],
    ) -> None:
        super().__init__(file, info)
        self._decoder = decoder
        self._time_s = time_s
        # The last frame that came; at the beginning the first that is due.
        self._reached = 0
        # What gave the last frame, None before the first.
        self._decoded_by: str | None = None

    @property
    def time_s(self) -> NDArray[np.float64]:
        """(N,) when each frame of the file is shown, readable or not."""
        return self._time_s

    def _selected(self, options: ScanOptions, first: int) -> Generator[Frame | Unreadable]:
        self.damage, self.note = (), self._decoder.why_software(self.file)
        self.decoded_by, self._decoded_by = Counter(), None
        # Not a list of Python's numbers, which take four times as much: hours have 100,000s.
        owed = array("q", selected_indices(self._time_s, options, first=first)[::-1].tobytes())
        skips_s = iter((*SKIPS_S, None))
        while True:
            try:
                yield from self._read(owed, options, first)
                return
            except ProcessEndedError as ended:
                if self._leaves_hardware(ended):
                    first = owed[-1] if owed else len(self._time_s)
                    continue
                skip_s = next(skips_s)
                first = self._next_start(skip_s) if owed else first
                lost, why, before = _taken_before(owed, first), str(ended), self.damage
            if not lost:
                self.damage = (*before, self._harmless(why, is_over=not owed))
            of_frames = self.expected_frames(options) if lost else 0
            for count, index in enumerate(lost, 1):
                # As it goes on, for whoever ends a part on the way.
                loss = self._loss(lost, count, of_frames=of_frames, why=why)
                self.damage = (*before, loss)
                yield self._item(index, None)
            if not owed:
                return

    def _leaves_hardware(self, ended: ProcessEndedError) -> bool:
        if self._decoded_by == SOFTWARE or not self._decoder.leave_hardware(self.file, ended):
            return False
        self.note = self._decoder.why_software(self.file)
        return True

    def _read(
        self, owed: "array[int]", options: ScanOptions, first: int
    ) -> Generator[Frame | Unreadable]:
        """What one process gives, which is taken off `owed`. Raises ProcessEndedError."""
        before = self.damage
        where = f"From frame {first:,} on: " if before else ""
        self._reached = owed[-1] if owed else first
        with closing(self._decoded(options, first)) as decoded:
            for answer, pixels in decoded:
                if "damage" in answer:
                    self.damage = (*before, *(f"{where}{text}" for text in answer["damage"]))
                if "index" in answer:
                    self._reached = owed.pop()
                    if answer["index"] != self._reached:
                        raise RuntimeError(
                            f"The decoder's process gave frame {answer['index']} out of turn."
                        )
                    yield self._item(self._reached, pixels)

    def _decoded(
        self, options: ScanOptions, first: int
    ) -> Generator[tuple[Message, Pixels | None]]:
        """Answers, and the pixels of those that have any. Raises ProcessEndedError, MediaError."""
        child = self._decoder.child_with(self)
        try:
            sampling = {name: getattr(options, name) for name in SAMPLING}
            child.request({"frames": sampling, "first": first})
            while "index" in (answer := child.answer()):
                self._take_news(answer)
                yield answer, child.take(answer) if "offset" in answer else None
            self._take_news(answer)
            yield answer, None
            child.done()
        finally:
            if not child.is_idle():  # it would decode for nobody
                child.kill()

    def _next_start(self, skip_s: float | None) -> int:
        """Where a new process is to go on: behind the last frame where none is."""
        try:
            if skip_s is not None:
                return self._decoder.child_with(self).start_behind(self._reached, skip_s=skip_s)
        except (DecoderEndedError, ProcessEndedError):
            pass
        return len(self._time_s)

    def _take_news(self, answer: Message) -> None:
        self.note = answer.get("note") or self.note
        if "by" in answer:
            self._decoded_by = answer["by"]
            self.decoded_by[answer["by"]] += 1

    def _item(self, index: int, pixels: Pixels | None) -> Frame | Unreadable:
        time_s = float(self._time_s[index])
        if pixels is None:
            return Unreadable(self.file.source, index, time_s)
        height, width = pixels.shape[:2]
        return Frame(self.file.source, index, time_s, width, height, OnDemand(lambda: pixels))

    def _loss(self, lost: Sequence[int], count: int, *, of_frames: int, why: str) -> str:
        """What is to say of the first `count` frames that are lost."""
        first_s, last_s = self._time_s[lost[0]], self._time_s[lost[count - 1]]
        places = f"the first at {first_s:.3f} s, the last at {last_s:.3f} s"
        return f"{count:,} of {of_frames:,} frames are unreadable, {places} ({why})."

    def _harmless(self, why: str, *, is_over: bool) -> str:
        if is_over:
            return f"Whether it is damaged is not known: {why}."
        return f"At about {self._time_s[self._reached]:.3f} s {why}; no frame was lost by that."


def _taken_before(owed: "array[int]", first: int) -> list[int]:
    """Take off the end of `owed`, which descends, what comes before `first`."""
    taken: list[int] = []
    while owed and owed[-1] < first:
        taken.append(owed.pop())
    return taken


class _Child:
    """One running process, and what it has been asked for."""

    def __init__(self, hwaccel: str) -> None:
        self.hwaccel, self._busy = hwaccel, False
        with ExitStack() as undo:
            try:
                self._memory = SharedMemory()
                undo.callback(self._memory.close)
                self._process = undo.enter_context(_start(self._memory, hwaccel))
                undo.callback(self._process.kill)
                self._watchdog = Watchdog(self._process.kill, silence_s=SILENCE_S)
            except (OSError, RuntimeError) as error:  # no descriptor, no process, no thread
                raise MissingPartError(
                    f"The process that decodes videos cannot be started ({error}): "
                    "--decode-in-process does without it."
                ) from error
            undo.pop_all()
        assert self._process.stdin and self._process.stdout
        self._requests, self._answers = self._process.stdin, self._process.stdout

    @property
    def pid(self) -> int:
        return self._process.pid

    def is_idle(self) -> bool:
        """Whether it is there to be asked: what an interrupt left half answered is not."""
        return not self._busy and self._process.poll() is None

    def open(self, file: MediaFile) -> tuple[VideoInfo, NDArray[np.float64]]:
        """What is known of a file, and its times (N,). Raises MediaError, ProcessEndedError."""
        self.request({"open": str(file.path.absolute()), "source": file.source})
        answer = self.answer()
        with self._watchdog.watching():
            content = self._answers.read(8 * answer["frames"])
        if len(content) < 8 * answer["frames"]:
            raise self._ended()
        self.done()
        return VideoInfo.from_dict(answer["info"]), np.frombuffer(content, np.float64)

    def start_behind(self, index: int, *, skip_s: float) -> int:
        """As `Video.start_behind`, of the video that is open. Raises ProcessEndedError."""
        self.request({"behind": index, "skip_s": skip_s})
        start: int = self.answer()["start"]
        self.done()
        return start

    def request(self, message: Message) -> None:
        """Ask for something. That nobody is there any more is learnt from the answer."""
        self._busy = True
        self._send(message)

    def answer(self) -> Message:
        """The next answer. Raises MediaError, ProcessEndedError."""
        self._send(*({"returned": offset} for offset in self._memory.returned()))
        while "alive" in (answer := self._line()):
            pass
        if "error" in answer:
            self.done()
            raise MediaError(answer["error"])
        if "bug" in answer:
            self.done()
            raise _bug(answer)
        return answer

    def _line(self) -> Message:
        """The next line, which the watchdog sees to. Raises ProcessEndedError."""
        with self._watchdog.watching():
            try:
                line = self._answers.readline()
            except ValueError:  # closed, since another video has been asked for meanwhile
                line = b""
        if not line.endswith(b"\n"):
            raise self._ended()
        message: Message = json.loads(line)
        return message

    def done(self) -> None:
        """The request is answered."""
        self._busy = False

    def take(self, answer: Message) -> Pixels:
        """The pixels (H, W, 3) of an answer; their slot goes back with the last who holds them.

        They are copied where few slots are left: whatever is held, the decoder goes on.
        """
        self._memory.follow(answer["memory"])
        pixels = self._memory.lend(
            answer["offset"], width_px=answer["width"], height_px=answer["height"]
        )
        is_lent = self._memory.lent <= answer["slots"] - RESERVE
        return pixels if is_lent else pixels.copy()

    def end(self) -> None:
        """Let it end if it is idle, else kill it."""
        try:
            if self.is_idle():
                with suppress(OSError):
                    self._requests.close()
                with suppress(subprocess.TimeoutExpired):
                    self._process.wait(PATIENCE_S)
        finally:
            self.kill()

    def abort(self) -> None:
        """End it at once, and leave pipes and memory to whoever uses them."""
        self._process.kill()

    def kill(self) -> None:
        """End it at once: it has nothing that could be lost."""
        self._process.kill()
        self._watchdog.end()
        with suppress(subprocess.TimeoutExpired):  # one that waits for a dead disk cannot even die
            self._process.wait(PATIENCE_S)
        for pipe in (self._requests, self._answers):
            with suppress(OSError):
                pipe.close()
        self._memory.close()

    def _send(self, *messages: Message) -> None:
        """All at once: whoever writes lets go of Python's interpreter, and waits for it again."""
        lines = b"".join(json.dumps(message).encode() + b"\n" for message in messages)
        if lines:
            with suppress(OSError):
                self._requests.write(lines)
                self._requests.flush()

    def _ended(self) -> ProcessEndedError:
        if (silence_s := self._watchdog.bitten_after_s) is not None:
            return ProcessEndedError(f"the decoder hung for {silence_s:.0f} s and was ended")
        try:
            code = self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            return ProcessEndedError("the decoder's process does not answer any more")
        return ProcessEndedError(f"the decoder's process ended {_how(code)}")


def _how(code: int) -> str:
    """A process's return code in words: POSIX has negative ones for signals."""
    if code >= 0:
        return f"with exit code {code}"
    names = {number.value: f" ({number.name})" for number in signal.Signals}
    return f"by signal {-code}{names.get(-code, '')}"


def _start(memory: SharedMemory, hwaccel: str) -> "subprocess.Popen[bytes]":
    """In a process group of its own: Ctrl-C is for this process, which decides what it means."""
    return subprocess.Popen(
        [sys.executable, "-c", BOOT, memory.key, hwaccel, *sys.path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=ALLOCATION | os.environ,
        pass_fds=memory.handles,
        process_group=None if sys.platform == "win32" else 0,
        creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )


def _bug(answer: Message) -> RuntimeError:
    error = RuntimeError(f"The decoder's process raised {answer['bug']}")
    error.add_note(answer["traceback"])
    return error
