"""A video's frames drawn upon or hidden, one after the other, into its copy."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from emoscan.errors import MediaError
from emoscan.events import FileStarted, FramesDone, Listener, Note
from emoscan.media.original import Original
from emoscan.media.source import VideoSource
from emoscan.options import ScanOptions
from emoscan.outcome import Problem, ProblemKind
from emoscan.report.draw import Drawing, draw_notice
from emoscan.report.hide import UNSEEN_S, Cover, hide, hide_all
from emoscan.report.marks import Marks, looked_at
from emoscan.report.movie import Movie
from emoscan.report.notes import visible_still
from emoscan.report.options import AnnotateOptions
from emoscan.report.outcome import AnnotateReport
from emoscan.types import Frame, Unreadable

Pixels = NDArray[np.uint8]

FRAMES_BETWEEN_EVENTS = 5
UNREADABLE_NOTICE = "unreadable frame"
UNSEEN_NOTICE = "not looked at"


class VideoCopy:
    """One video on its way into its copy: what is written at each frame's time."""

    def __init__(
        self,
        source: VideoSource,
        rows: pd.DataFrame,
        *,
        options: AnnotateOptions,
        listener: Listener,
    ) -> None:
        self._source, self._options, self._listener = source, options, listener
        time_s = source.time_s
        self._time_s = time_s
        self._duration_s = np.diff(time_s, append=time_s[-1] + _usual_step_s(time_s))
        self._marks = Marks(rows, time_s)
        self._cover = Cover(rows, time_s) if options.hides else None
        self._drawing = Drawing()
        self._frames = self._unreadable = self._faces = self._hidden_whole = 0
        self._audio = ""
        self._sound_damage: str | None = None
        self._last: Pixels | None = None
        self._lost: Pixels | None = None
        self._tell(rows)

    def write(self, path: Path, suffix: str) -> None:
        """Write the whole copy. Raises MediaError where no frame can be read."""
        file, info = self._source.file, self._source.info
        everything = ScanOptions()
        self._listener(FileStarted(file.source, self._source.expected_frames(everything)))
        with (
            Original(file, start_s=info.start_s) as original,
            Movie(path, suffix, original, info=info, audio=self._options.audio) as movie,
        ):
            self._tell_of_tracks(original, movie, suffix)
            for item in self._source.frames(everything):
                pixels = self._picture(item)
                index = item.index
                movie.write(
                    pixels,
                    time_s=float(self._time_s[index]),
                    duration_s=float(self._duration_s[index]),
                )
                self._last = pixels
                if index % FRAMES_BETWEEN_EVENTS == 0:
                    self._tell_progress()
            movie.finish()
            self._sound_damage = original.damage if self._options.audio else None
        self._tell_progress()
        if not self._frames:
            raise MediaError(f"{file.source} holds no frame that can be decoded.")

    def report(self) -> AnnotateReport:
        """What was done."""
        damage = (*self._source.damage, *filter(None, [self._sound_damage]))
        problem = Problem(self._source.file.source, ProblemKind.DAMAGED, " ".join(damage))
        return AnnotateReport(
            frames=self._frames,
            unreadable=self._unreadable,
            faces=self._faces,
            hidden_whole=self._hidden_whole,
            media_s=float(self._time_s[-1] - self._time_s[0]),
            audio=self._audio,
            problems=(problem,) if damage else (),
        )

    def _picture(self, item: Frame | Unreadable) -> Pixels:
        """What is to be seen at a frame's time."""
        if isinstance(item, Unreadable):
            self._unreadable += 1
            return self._without_picture()
        self._frames, self._lost = self._frames + 1, None
        pixels = item.rgb()
        pixels = pixels if pixels.flags.writeable else pixels.copy()
        marks = self._marks.at(item.index)
        self._faces += sum(mark.looked_at for mark in marks)
        if self._cover and self._cover.is_unseen(item.index):
            self._hidden_whole += 1
            hide_all(pixels, pixelate=self._options.pixelate_faces)
            draw_notice(pixels, UNSEEN_NOTICE)
            return pixels
        for box in self._cover.at(item.index) if self._cover else ():
            hide(pixels, box, pixelate=self._options.pixelate_faces)
        if self._options.boxes:
            self._drawing.draw(pixels, marks)
        return pixels

    def _without_picture(self) -> Pixels:
        """The last picture that was written, darkened and marked: nothing else is known."""
        if self._lost is None:
            info = self._source.info
            black = np.zeros((info.height, info.width, 3), np.uint8)
            self._lost = black if self._last is None else self._last.copy()
            draw_notice(self._lost, UNREADABLE_NOTICE)
        return self._lost

    def _tell_progress(self) -> None:
        self._listener(
            FramesDone(self._source.file.source, self._frames + self._unreadable, self._faces)
        )

    def _tell(self, rows: pd.DataFrame) -> None:
        """What the copy will not show, or show otherwise than one may think."""
        frames, seen = len(self._time_s), len(looked_at(rows))
        if self._options.boxes and seen < frames:
            self._listener(
                Note(
                    f"Of {frames:,} frames {seen:,} were looked at: between them boxes are dashed, "
                    f"and there are none where they lie more than a second apart."
                )
            )
        if self._cover and (unseen := self._cover.count_unseen()):
            self._listener(
                Note(
                    f"{unseen:,} of {frames:,} frames are hidden as a whole: no frame within "
                    f"{UNSEEN_S:g} s of them was looked at. To hide faces alone, scan without "
                    "--fps, --every, --start and --end."
                )
            )
        if self._cover:
            self._listener(Note(visible_still(rows, "the whole copy")))

    def _tell_of_tracks(self, original: Original, movie: Movie, suffix: str) -> None:
        if original.is_hdr:
            self._listener(Note("It is HDR; the copy has 8 bits: skies may show steps."))
        if not movie.has_sound:
            self._audio = "left out" if original.sounds else ""
            return
        self._audio = "copied"
        if movie.recoded:
            self._audio = "coded anew as AAC"
            codecs = ", ".join(movie.recoded)
            self._listener(Note(f"{suffix} cannot hold the sound ({codecs}): it is coded anew."))
        if self._cover:
            self._listener(Note("The voices can be heard: --no-audio leaves the sound out."))


def _usual_step_s(time_s: NDArray[np.float64]) -> float:
    """How long the last frame is shown: as long as most."""
    return float(np.median(np.diff(time_s))) if len(time_s) > 1 else 1 / 25
