"""Videos decoded in a process of their own: a file that crashes the decoder costs itself alone.

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
from collections.abc import Generator, Iterator
from contextlib import closing, suppress
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from emoscan.errors import DecoderEndedError, MediaError, MissingPartError
from emoscan.media.find import MediaFile
from emoscan.media.packets import selected_indices
from emoscan.media.picture import OnDemand, Pixels
from emoscan.media.shared import SharedMemory
from emoscan.media.source import VideoInfo
from emoscan.media.watchdog import Watchdog
from emoscan.options import ScanOptions
from emoscan.types import Frame, Unreadable

Message = dict[str, Any]

# With the path of this process, for a script may have changed it; `-m` would look into the current
# folder first. Not `multiprocessing`, which imports the main module once more: a script without
# `if __name__ == "__main__"` would run twice.
BOOT = (
    "import sys; sys.path[:] = sys.argv[2:]; "
    "from emoscan.media.decoder import main; main(sys.argv[1])"
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
# Which of the options say what to decode.
SAMPLING = ("fps", "every", "start_s", "end_s")


class ProcessEndedError(Exception):
    """The decoder's process is gone; the text says how it ended."""


class DecoderProcess:
    """Opens videos in another process, one after the other; a context manager.

    After a crash the next file gets a new process.
    """

    def __init__(self) -> None:
        self._child: _Child | None = None
        self._opened: ProcessVideo | None = None

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
        self._usable_child()

    def open(self, file: MediaFile) -> "ProcessVideo":
        """As `open_video`. Raises MediaError, also where the process crashes."""
        info, time_s = self._open(file)
        self._opened = ProcessVideo(self, file, info=info, time_s=time_s)
        return self._opened

    def abort(self) -> None:
        """Have the process end at once, so that whoever waits for it waits no more.

        For another thread than the one that uses it.
        """
        child = self._child
        if child is not None:
            child.abort()

    def close(self) -> None:
        """End the process, whatever it is doing."""
        if self._child is not None:
            self._child.end()
        self._child = None

    def child_with(self, video: "ProcessVideo") -> "_Child":
        """The process in which this video is open, which may take opening it again."""
        child = self._usable_child()
        if self._opened is not video:
            self._open(video.file)
            self._opened = video
        return child

    def _open(self, file: MediaFile) -> tuple[VideoInfo, NDArray[np.float64]]:
        child = self._usable_child()
        self._opened = None
        try:
            return child.open(file)
        except ProcessEndedError as ended:
            raise DecoderEndedError(f"{file.source} cannot be opened: {ended}.") from ended

    def _usable_child(self) -> "_Child":
        if self._child is None or not self._child.is_idle():
            self.close()
            self._opened = None
            self._child = _Child()
        return self._child


class ProcessVideo:
    """One video file, decoded elsewhere; a context manager. `DecoderProcess.open` makes it.

    `damage` tells in sentences what was wrong with the range that the last iteration covered, so
    far while it goes on: () is a healthy file. Where the process crashes, the frames that it owes
    are unreadable.
    """

    def __init__(
        self,
        decoder: DecoderProcess,
        file: MediaFile,
        *,
        info: VideoInfo,
        time_s: NDArray[np.float64],
    ) -> None:
        self.file = file
        self.info = info
        self.damage: tuple[str, ...] = ()
        self._decoder = decoder
        self._time_s = time_s
        self._running: Generator[Frame | Unreadable] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def time_s(self) -> NDArray[np.float64]:
        """(N,) when each frame of the file is shown, readable or not."""
        return self._time_s

    def close(self) -> None:
        """End the iteration at work, if there is one."""
        if self._running is not None:
            self._running.close()
            self._running = None

    def expected_frames(self, options: ScanOptions) -> int:
        """How many frames `frames(options)` gives, unreadable ones included."""
        return len(selected_indices(self._time_s, options))

    def frames(self, options: ScanOptions, *, first: int = 0) -> Iterator[Frame | Unreadable]:
        """As `Video.frames`."""
        self.close()
        self._running = self._selected(options, first)
        return self._running

    def _selected(self, options: ScanOptions, first: int) -> Generator[Frame | Unreadable]:
        self.damage = ()
        owed = selected_indices(self._time_s, options, first=first).tolist()
        owed.reverse()
        lost: list[int] = []
        try:
            with closing(self._decoded(options, first)) as decoded:
                for index, pixels in decoded:
                    if index != owed.pop():
                        raise RuntimeError(f"The decoder's process gave frame {index} out of turn.")
                    lost += [index] if pixels is None else []
                    yield self._item(index, pixels)
        except ProcessEndedError as ended:
            lost += reversed(owed)
            self.damage = (self._loss(lost, ended, options),)
            while owed:
                yield self._item(owed.pop(), None)

    def _decoded(self, options: ScanOptions, first: int) -> Generator[tuple[int, Pixels | None]]:
        """Indices with their pixels, if they have any. Raises ProcessEndedError, MediaError."""
        child = self._decoder.child_with(self)
        try:
            sampling = {name: getattr(options, name) for name in SAMPLING}
            child.request({"frames": sampling, "first": first})
            while "index" in (answer := child.answer()):
                self.damage = tuple(answer.get("damage", self.damage))
                yield answer["index"], child.take(answer) if "offset" in answer else None
            self.damage = tuple(answer["damage"])
            child.done()
        finally:
            if not child.is_idle():  # it would decode for nobody
                child.kill()

    def _item(self, index: int, pixels: Pixels | None) -> Frame | Unreadable:
        time_s = float(self._time_s[index])
        if pixels is None:
            return Unreadable(self.file.source, index, time_s)
        height, width = pixels.shape[:2]
        return Frame(self.file.source, index, time_s, width, height, OnDemand(lambda: pixels))

    def _loss(self, lost: list[int], ended: ProcessEndedError, options: ScanOptions) -> str:
        if not lost:
            return f"Whether it is damaged is not known: {ended}."
        of_all = f"{len(lost):,} of {self.expected_frames(options):,} frames"
        first_s = self._time_s[lost[0]]
        return f"{of_all} are unreadable, the first at {first_s:.3f} s ({ended})."


class _Child:
    """One running process, and what it has been asked for."""

    def __init__(self) -> None:
        self._memory = SharedMemory()
        self._busy = False
        try:
            self._process = _start(self._memory)
        except OSError as error:
            self._memory.close()
            raise MissingPartError(
                f"The process that decodes videos cannot be started ({error}): "
                "--decode-in-process does without it."
            ) from error
        assert self._process.stdin and self._process.stdout
        self._requests, self._answers = self._process.stdin, self._process.stdout
        self._watchdog = Watchdog(self._process.kill, silence_s=SILENCE_S)

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
        time_s = np.frombuffer(self._answers.read(8 * answer["frames"]), np.float64)
        if len(time_s) < answer["frames"]:
            raise self._ended()
        self.done()
        return VideoInfo.from_dict(answer["info"]), time_s

    def request(self, message: Message) -> None:
        """Ask for something. That nobody is there any more is learnt from the answer."""
        self._busy = True
        self._send(message)

    def answer(self) -> Message:
        """The next answer. Raises MediaError, ProcessEndedError."""
        for offset in self._memory.returned():
            self._send({"returned": offset})
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
        """The pixels (H, W, 3) of an answer; their slot goes back with the last who holds them."""
        self._memory.follow(answer["memory"])
        pixels = self._memory.lend(
            answer["offset"], width_px=answer["width"], height_px=answer["height"]
        )
        return pixels if answer["keep"] else pixels.copy()

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

    def _send(self, message: Message) -> None:
        with suppress(OSError):
            self._requests.write(json.dumps(message).encode() + b"\n")
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


def _start(memory: SharedMemory) -> "subprocess.Popen[bytes]":
    """In a process group of its own: Ctrl-C is for this process, which decides what it means."""
    return subprocess.Popen(
        [sys.executable, "-c", BOOT, memory.key, *sys.path],
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
