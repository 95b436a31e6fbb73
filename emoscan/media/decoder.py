"""The process that decodes videos for another one, which `process.py` describes.

Requests come through stdin and answers go through stdout, one JSON object a line; pixels go through
shared memory. It imports no torch: it is small, and there soon.
"""

import heapq
import json
import os
import signal
import sys
import threading
import time
import traceback
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO

from emoscan.errors import MediaError
from emoscan.heap import give_back_memory
from emoscan.media.find import MediaFile
from emoscan.media.picture import Pixels
from emoscan.media.shared import SharedMemory
from emoscan.media.video import Video, open_video
from emoscan.options import NO_HARDWARE, ScanOptions
from emoscan.types import Frame, Unreadable

Message = dict[str, Any]

# As many frames as fit into this many bytes have a slot each, within limits. Whoever follows faces
# holds three blocks of frames, and some are decoded ahead.
MEMORY_BYTES = 320 * 2**20
LEAST_SLOTS, MOST_SLOTS = 6, 96
PAGE_BYTES = 4096
# After so many frames, the first included, free memory goes back to the system: reading the index
# of hours leaves 10 MB of it in small pieces.
GIVEN_BACK_EVERY = 1000
# Of memory that can be asked for: the largest pictures that are taken, in all of FFmpeg's threads,
# fit, and what a machine has not is refused all the same.
ADDRESS_BYTES = 16 * 2**30
# Whoever waits hears this often that there is progress.
HEARTBEAT_S = 1.0
# What the end may take once nobody asks for anything any more.
GRACE_S = 1.0


def main(memory_key: str, hwaccel: str = NO_HARDWARE) -> None:
    """Answer requests until nobody can ask any more, be it that the other process was killed."""
    _limit_memory(hwaccel)
    # Ctrl-C goes to everything that a terminal runs; what becomes of it the other one decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = _private_stdout()
    inbox = _Inbox()
    threading.Thread(target=inbox.fill, args=(sys.stdin.buffer,), daemon=True).start()
    decoder = _Decoder(answers, _Slots(SharedMemory(memory_key), inbox.returned), hwaccel)
    while (request := inbox.requests.get()) is not None:
        try:
            decoder.answer(request)
        except OSError:  # nobody reads the answers
            os._exit(1)  # for an orderly exit would try to write once more


def _limit_memory(hwaccel: str) -> None:
    """A broken file that wants 50 GB gets an error, or ends this process and not the computer.

    Drivers reserve hundreds of gigabytes of addresses and never use them (CUDA: one for each byte
    of all GPUs and the computer): with hardware only what can be written to counts.
    """
    with suppress(ImportError, ValueError, OSError):  # Windows; or there is a lower limit already
        import resource

        what = resource.RLIMIT_AS if hwaccel == NO_HARDWARE else resource.RLIMIT_DATA
        soft, hard = resource.getrlimit(what)
        if soft == resource.RLIM_INFINITY or soft > ADDRESS_BYTES:
            resource.setrlimit(what, (ADDRESS_BYTES, hard))


def _private_stdout() -> BinaryIO:
    """The channel of the answers; what libraries print goes to stderr."""
    answers = os.fdopen(os.dup(1), "wb")
    with suppress(OSError):  # there may be no stderr
        os.dup2(2, 1)
    return answers


class _Inbox:
    """What has come through stdin: requests, None at its end, and slots that are free again."""

    def __init__(self) -> None:
        self.requests: SimpleQueue[Message | None] = SimpleQueue()
        self.returned: SimpleQueue[int] = SimpleQueue()

    def fill(self, stdin: BinaryIO) -> None:
        """What a thread does until stdin ends, and the process with it."""
        for line in stdin:
            message = json.loads(line)
            if "returned" in message:
                self.returned.put(message["returned"])
            else:
                self.requests.put(message)
        self.requests.put(None)
        time.sleep(GRACE_S)
        os._exit(1)  # a file is still at work, and nobody waits for it


class _Slots:
    """Places in the shared memory, each for one frame, known by their offsets in bytes."""

    def __init__(self, memory: SharedMemory, returned: "SimpleQueue[int]") -> None:
        self._memory = memory
        self._returned = returned
        self._slot_bytes = 0
        self._first = 0
        self._count = 0
        self._free: list[int] = []

    def put(self, pixels: Pixels) -> Message:
        """Write (H, W, 3) uint8 into a slot, waiting for one; what the reader has to know.

        That is how many `slots` there are, too: of these it has to leave some.
        """
        if pixels.nbytes > self._slot_bytes:
            self._enlarge(pixels.nbytes)
        offset = self._take()
        height, width = pixels.shape[:2]
        self._memory.view(offset, width_px=width, height_px=height)[:] = pixels
        return {
            "width": width,
            "height": height,
            "offset": offset,
            "memory": len(self._memory),
            "slots": self._count,
        }

    def _enlarge(self, least_bytes: int) -> None:
        """New slots behind the old ones, in which the reader's frames stay."""
        slot_bytes = -(-least_bytes // PAGE_BYTES) * PAGE_BYTES
        count = max(LEAST_SLOTS, min(MOST_SLOTS, MEMORY_BYTES // slot_bytes))
        first = len(self._memory)
        end = first + count * slot_bytes
        self._memory.grow(end)
        self._slot_bytes, self._first, self._count = slot_bytes, first, count
        self._free = list(range(first, end, slot_bytes))

    def _take(self) -> int:
        """The first free slot: those behind it may never need real memory."""
        while not (self._free and self._returned.empty()):
            offset = self._returned.get()
            if offset >= self._first:
                heapq.heappush(self._free, offset)
        return heapq.heappop(self._free)


class _Decoder:
    """Answers requests; it has one video open."""

    def __init__(self, answers: BinaryIO, slots: _Slots, hwaccel: str) -> None:
        self._answers = answers
        self._hwaccel = hwaccel
        self._slots = slots
        self._video: Video | None = None
        self._last_sent_s = time.monotonic()

    def answer(self, request: Message) -> None:
        """Do what is asked for; what fails is an answer too."""
        try:
            if "open" in request:
                self._open(MediaFile(Path(request["open"]), request["source"]))
            elif "behind" in request:
                self._find_start(request["behind"], request["skip_s"])
            else:
                self._decode(ScanOptions(**request["frames"]), request["first"])
        except MediaError as error:
            self._send({"error": str(error)})
        except Exception as error:
            self._send({"bug": repr(error), "traceback": traceback.format_exc()})

    def _open(self, file: MediaFile) -> None:
        self._video = None
        self._video = open_video(file, self._alive, hwaccel=self._hwaccel)
        times = self._video.time_s
        give_back_memory()
        self._send({"info": self._video.info.as_dict(), "frames": len(times)}, times.tobytes())

    def _find_start(self, behind: int, skip_s: float) -> None:
        assert self._video is not None
        self._send({"start": self._video.start_behind(behind, skip_s=skip_s)})

    def _decode(self, options: ScanOptions, first: int) -> None:
        assert self._video is not None
        told: Message = {"damage": (), "note": None}
        with self._video as video:
            for count, item in enumerate(video.frames(options, first=first)):
                if count in (0, 60):  # the file is open: reading the index of hours took 10 MB
                    give_back_memory()
                known, told = told, {"damage": video.damage, "note": video.note}
                news = {} if told == known else told
                by = {"by": video.decoder} if isinstance(item, Frame) else {}
                self._send({"index": item.index} | self._shared(item) | by | news)
            self._send({"damage": video.damage, "note": video.note})

    def _shared(self, item: Frame | Unreadable) -> Message:
        return self._slots.put(item.rgb()) if isinstance(item, Frame) else {}

    def _alive(self) -> None:
        """There is progress, if no answer yet: frames may be skipped by the thousand."""
        if time.monotonic() - self._last_sent_s > HEARTBEAT_S:
            self._send({"alive": True})

    def _send(self, message: Message, data: bytes = b"") -> None:
        self._last_sent_s = time.monotonic()
        self._answers.write(json.dumps(message).encode() + b"\n" + data)
        self._answers.flush()
