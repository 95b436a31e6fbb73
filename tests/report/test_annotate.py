"""Copies of videos: times, sound, sizes, colours, what is hidden, and what is refused."""

import os
import signal
import threading
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import emoscan
from emoscan.emotions import Emotion
from emoscan.errors import MediaError, NoMediaError, OutputError, UsageError
from emoscan.events import FramesDone, Note
from emoscan.media.find import MediaFile
from emoscan.media.source import VideoInfo
from emoscan.media.video import open_video
from emoscan.options import ScanOptions
from emoscan.palette import rgb
from emoscan.report.belongs import _metadata_differ
from tests.clips import (
    MS,
    even_times,
    gray_picture,
    noise_picture,
    remux,
    write_clip,
    write_yuv,
    zeroed_copy,
)
from tests.report.tables import empty_row, face_row, rows_at, write_table

UNEVEN_MS = [0, 40, 90, 170, 200, 260, 300, 500, 730, 800, 1000]
SIZE = (320, 240)
BOX = (120.0, 80.0, 60.0, 70.0)


def noise(index: int) -> np.ndarray:
    return noise_picture(index, SIZE)


def gray(index: int) -> np.ndarray:
    return gray_picture(index, SIZE)


def clip(path: Path, times_ms=UNEVEN_MS, **settings) -> Path:
    return write_clip(path, times_ms, **{"size": SIZE, "picture": gray} | settings)


def times_s(path: Path) -> list[float]:
    with open_video(MediaFile(path, path.name)) as video:
        return video.time_s.tolist()


def frames(path: Path) -> list[np.ndarray]:
    """(H, W, 3) of each frame, upright, as emoscan itself reads it."""
    with open_video(MediaFile(path, path.name)) as video:
        return [item.rgb() for item in video.frames(ScanOptions())]


def table(folder: Path, video: Path, boxes=None, *, every: int = 1, metadata=None) -> Path:
    """A timeline of a video: one face in each frame that was looked at, unless boxes are given."""
    at_s = times_s(video)
    boxes = boxes if boxes is not None else {index: [(1, BOX)] for index in range(len(at_s))}
    return write_table(folder / "t.parquet", rows_at(at_s, boxes, every=every), metadata)


def packets(path: Path) -> list[list[tuple[float, bytes]]]:
    """Of each stream of sound, the packets that are heard: times from the file's start, bytes."""
    with av.open(str(path)) as container:
        start_s = (container.start_time or 0) / 1e6
        if not (streams := container.streams.audio):
            return []
        found: list[list[tuple[float, bytes]]] = [[] for _ in streams]
        for packet in container.demux(*streams):
            if packet.size and not packet.is_discard:
                at_s = float(packet.pts * packet.time_base) - start_s
                found[streams.index(packet.stream)].append((at_s, bytes(packet)))
        return found


class TestTimes:
    @pytest.mark.parametrize("time_base", [MS, Fraction(1, 30000), Fraction(1, 90000)])
    def test_of_a_variable_frame_rate_are_kept_exactly(self, tmp_path, time_base) -> None:
        video = clip(tmp_path / "v.mp4", time_base=time_base, audio_s=1.2)
        emoscan.annotate_video(video, table(tmp_path, video), tmp_path / "out.mp4")
        assert times_s(tmp_path / "out.mp4") == times_s(video)

    @pytest.mark.parametrize("name", ["v.ts", "v.avi"])
    def test_of_other_containers_too(self, tmp_path, name: str) -> None:
        settings = {"codec": "mpeg4", "time_base": Fraction(1, 25), "audio_codec": "mp3"}
        avi = settings if name == "v.avi" else {}
        video = clip(tmp_path / name, even_times(12), audio_s=1.2, **avi)
        emoscan.annotate_video(video, table(tmp_path, video), tmp_path / "out.mp4")
        assert np.abs(np.subtract(times_s(tmp_path / "out.mp4"), times_s(video))).max() < 5e-5

    def test_pictures_that_begin_after_the_sound_still_do(self, tmp_path) -> None:
        video = clip(tmp_path / "v.mp4", [137, 177, 217, 300], audio_s=0.5)
        assert times_s(video)[0] == pytest.approx(0.137)
        emoscan.annotate_video(video, table(tmp_path, video), tmp_path / "out.mp4")
        assert times_s(tmp_path / "out.mp4") == pytest.approx(times_s(video), abs=1e-6)

    def test_the_last_frame_is_shown_as_long_as_most(self, tmp_path) -> None:
        video = clip(tmp_path / "v.mp4", even_times(10))
        emoscan.annotate_video(video, table(tmp_path, video), tmp_path / "out.mp4")
        with av.open(str(tmp_path / "out.mp4")) as container:
            stream = container.streams.video[0]
            assert float(stream.duration * stream.time_base) == pytest.approx(0.4, abs=1e-3)


class TestSound:
    @pytest.mark.parametrize("out", ["out.mp4", "out.mkv"])
    @pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.mov"])
    def test_is_copied_packet_by_packet(self, tmp_path, name: str, out: str) -> None:
        video = clip(tmp_path / name, audio_s=1.5)  # longer than the pictures
        report = emoscan.annotate_video(video, table(tmp_path, video), tmp_path / out)
        assert report.audio == "copied"
        (before,), (after,) = packets(video), packets(tmp_path / out)
        heard = [content for at_s, content in before if at_s >= 0]
        assert heard and [content for at_s, content in after if at_s >= 0] == heard
        tolerance_s = 1.1e-3 if ".mkv" in name + out else 1e-6
        assert np.abs(np.subtract(times_s(tmp_path / out), times_s(video))).max() < tolerance_s
        at_s = [[at_s for at_s, _ in found if at_s >= 0] for found in (before, after)]
        assert np.abs(np.subtract(*at_s)).max() < tolerance_s

    def test_of_a_transport_stream_fits_into_mp4(self, tmp_path) -> None:
        video = clip(tmp_path / "v.ts", audio_s=1.2)
        emoscan.annotate_video(video, table(tmp_path, video), tmp_path / "out.mp4")
        (before,), (after,) = packets(video), packets(tmp_path / "out.mp4")
        assert len(after) == len(before)
        assert all(old.endswith(new) for (_, old), (_, new) in zip(before, after, strict=True))

    def test_that_mp4_does_not_hold_is_coded_anew_with_a_note(self, tmp_path) -> None:
        video = clip(tmp_path / "v.mkv", audio_s=1.2, audio_codec="pcm_s16le")
        notes: list[str] = []
        report = emoscan.annotate_video(
            video,
            table(tmp_path, video),
            tmp_path / "out.mp4",
            listener=lambda event: notes.append(event.text) if isinstance(event, Note) else None,
        )
        assert report.audio == "coded anew as AAC" and "coded anew" in " ".join(notes)
        with av.open(str(tmp_path / "out.mp4")) as container:
            (sound,) = container.streams.audio
            assert sound.codec_context.name == "aac"
            samples = sum(frame.samples for frame in container.decode(sound))
        assert samples / 48000 == pytest.approx(1.2, abs=0.05)
        emoscan.annotate_video(video, table(tmp_path, video), tmp_path / "out.mkv")
        assert len(packets(tmp_path / "out.mkv")[0]) == len(packets(video)[0])

    def test_is_left_out_on_demand(self, tmp_path) -> None:
        video = clip(tmp_path / "v.mp4", audio_s=1.2)
        options = emoscan.AnnotateOptions(audio=False)
        report = emoscan.annotate_video(video, table(tmp_path, video), tmp_path / "o.mp4", options)
        assert report.audio == "left out" and packets(tmp_path / "o.mp4") == []
        assert times_s(tmp_path / "o.mp4") == times_s(video)


class TestPictures:
    def test_a_rotated_clip_becomes_upright_without_a_tag(self, tmp_path) -> None:
        def corner(index: int) -> np.ndarray:
            pixels = gray(index)
            pixels[:60, :60] = (250, 0, 0)
            return pixels

        video = clip(tmp_path / "v.mp4", rotation_deg=90, picture=corner)
        original = frames(video)
        assert original[0].shape[:2] == (320, 240)
        emoscan.annotate_video(video, table(tmp_path, video, {}), tmp_path / "out.mp4")
        with av.open(str(tmp_path / "out.mp4")) as container:
            frame = next(container.decode(video=0))
            assert (frame.rotation, frame.width, frame.height) == (0, 240, 320)
        for before, after in zip(original, frames(tmp_path / "out.mp4"), strict=True):
            assert np.abs(before.astype(int) - after).mean() < 3

    @pytest.mark.parametrize("colorspace", [1, 5])
    def test_colours_look_the_same(self, tmp_path, colorspace: int) -> None:
        video = write_yuv(
            tmp_path / "v.mp4", [120, 90, 180], size=SIZE, colorspace=colorspace, color_range=1
        )
        emoscan.annotate_video(video, table(tmp_path, video, {}), tmp_path / "out.mp4")
        before, after = frames(video)[0], frames(tmp_path / "out.mp4")[0]
        assert np.abs(before.astype(int) - after).max() <= 4
        with av.open(str(tmp_path / "out.mp4")) as container:
            frame = next(container.decode(video=0))
            assert (frame.colorspace, frame.color_range, frame.format.name) == (1, 1, "yuv420p")

    def test_the_light_of_hdr_keeps_its_tags(self, tmp_path) -> None:
        with av.open(str(tmp_path / "v.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
            stream.codec_context.color_trc, stream.codec_context.color_primaries = 18, 9
            for index in range(3):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(gray(index))))
            container.mux(stream.encode(None))
        emoscan.annotate_video(
            tmp_path / "v.mp4", table(tmp_path, tmp_path / "v.mp4", {}), tmp_path / "out.mp4"
        )
        with av.open(str(tmp_path / "out.mp4")) as container:
            context = container.streams.video[0].codec_context
            assert (context.color_trc, context.color_primaries, context.colorspace) == (18, 9, 1)

    @pytest.mark.parametrize(("rotation_deg", "aspect"), [(0, (4, 3)), (90, (3, 4))])
    def test_pixels_that_are_not_square_keep_their_shape(
        self, tmp_path, rotation_deg: int, aspect
    ) -> None:
        with av.open(str(tmp_path / "v.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
            stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
            if rotation_deg:
                stream.set_display_rotation(rotation_deg)
            for index in range(3):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(gray(index))))
            container.mux(stream.encode(None))
        emoscan.annotate_video(
            tmp_path / "v.mp4", table(tmp_path, tmp_path / "v.mp4", {}), tmp_path / "out.mp4"
        )
        with av.open(str(tmp_path / "out.mp4")) as container:
            assert container.streams.video[0].sample_aspect_ratio == Fraction(*aspect)

    def test_the_box_has_the_palettes_colour(self, tmp_path) -> None:
        big = (1280, 960)
        video = clip(tmp_path / "v.mp4", [0, 40], size=big, picture=lambda i: gray_picture(i, big))
        rows = [face_row(0, 0.0, (400, 300, 200, 240)), face_row(1, 0.04, (400, 300, 200, 240))]
        emoscan.annotate_video(video, write_table(tmp_path / "t.csv", rows), tmp_path / "o.mp4")
        strip = frames(tmp_path / "o.mp4")[1][400:440, 390:400].reshape(-1, 3).astype(int)
        assert np.abs(strip - rgb(Emotion.HAPPY)).max(axis=1).min() < 25

    def test_odd_sizes_are_padded(self, tmp_path) -> None:
        size = (321, 241)
        video = clip(
            tmp_path / "v.mkv",
            codec="ffv1",
            pixel_format="yuv444p",
            size=size,
            b_frames=0,
            picture=lambda index: gray_picture(index, size),
        )
        emoscan.annotate_video(video, table(tmp_path, video), tmp_path / "out.mp4")
        assert frames(tmp_path / "out.mp4")[0].shape == (242, 322, 3)

    def test_frames_that_nobody_looked_at_are_written_too(self, tmp_path) -> None:
        video = clip(tmp_path / "v.mp4", even_times(20))
        report = emoscan.annotate_video(
            video, table(tmp_path, video, every=5), tmp_path / "out.mp4"
        )
        assert (report.frames, report.faces) == (20, 4)
        written = frames(tmp_path / "out.mp4")
        orange = [
            int((np.abs(pixels.astype(int) - rgb(Emotion.HAPPY)).max(axis=2) < 60).sum())
            for pixels in written
        ]
        assert len(written) == 20
        assert 0 < orange[3] < orange[5]  # dashed
        assert orange[17] == 0  # behind the last one

    def test_nothing_of_the_containers_tags_is_kept(self, tmp_path) -> None:
        plain = clip(tmp_path / "plain.mp4", audio_s=1.2)
        video = tmp_path / "v.mp4"
        with (
            av.open(str(plain)) as source,
            av.open(str(video), "w", options={"movflags": "use_metadata_tags"}) as target,
        ):
            target.metadata.update(location="+48.1+011.5/", comment="SECRET", artist="SECRET")
            copies = {}
            for stream in source.streams:
                copies[stream.index] = target.add_stream_from_template(stream)
                copies[stream.index].metadata["handler_name"] = "SECRET"
            for packet in source.demux():
                if packet.size:
                    packet.stream = copies[packet.stream.index]
                    target.mux(packet)
        assert b"SECRET" in video.read_bytes() and b"+48.1" in video.read_bytes()
        for name in ("out.mp4", "out.mkv"):
            emoscan.annotate_video(video, table(tmp_path, video), tmp_path / name)
            content = (tmp_path / name).read_bytes()
            assert b"SECRET" not in content and b"+48.1" not in content


class TestHiding:
    @staticmethod
    def sharpness(pixels: np.ndarray, box=BOX) -> float:
        x, y, width, height = map(int, box)
        inner = pixels[y + 8 : y + height - 8, x + 8 : x + width - 8]
        return float(cv2.Laplacian(cv2.cvtColor(inner, cv2.COLOR_RGB2GRAY), cv2.CV_64F).var())

    @pytest.mark.parametrize("name", ["blur_faces", "pixelate_faces"])
    @pytest.mark.parametrize("every", [1, 5])
    def test_no_frame_shows_a_face(self, tmp_path, name: str, every: int) -> None:
        video = clip(tmp_path / "v.mp4", even_times(21), picture=noise)
        options = emoscan.AnnotateOptions(boxes=False, **{name: True})
        emoscan.annotate_video(
            video, table(tmp_path, video, every=every), tmp_path / "o.mp4", options
        )
        written = frames(tmp_path / "o.mp4")
        for before, after in zip(frames(video), written, strict=True):
            assert self.sharpness(after) < 0.05 * self.sharpness(before)
            far = (250, 150, 60, 70)
            assert self.sharpness(after, far) > 0.5 * self.sharpness(before, far)

    def test_what_nobody_looked_at_is_hidden_as_a_whole(self, tmp_path) -> None:
        video = clip(tmp_path / "v.mp4", even_times(40), picture=noise)
        rows = [empty_row(index, index / 25) for index in range(10)]
        options = emoscan.AnnotateOptions(blur_faces=True)
        report = emoscan.annotate_video(
            video, write_table(tmp_path / "t.jsonl", rows), tmp_path / "o.mp4", options
        )
        assert report.hidden_whole == 40 - 10 - 7  # 0.3 s after the last one
        written, original = frames(tmp_path / "o.mp4"), frames(video)
        everywhere = (0, 0, 320, 80)
        assert self.sharpness(written[16], everywhere) > 0.5 * self.sharpness(
            original[16], everywhere
        )
        assert self.sharpness(written[17], everywhere) < 0.02 * self.sharpness(
            original[17], everywhere
        )

    def test_the_user_is_told_what_stays_visible(self, tmp_path) -> None:
        video = clip(tmp_path / "v.mp4", audio_s=1.2)
        rows = [replace(row, label="Anna") for row in rows_at(times_s(video), {0: [(1, BOX)]})]
        metadata = {"options": {"min_face": "40", "max_faces": 2}}
        notes: list[str] = []
        emoscan.annotate_video(
            video,
            write_table(tmp_path / "t.parquet", rows, metadata),
            tmp_path / "o.mp4",
            emoscan.AnnotateOptions(blur_faces=True),
            listener=lambda event: notes.append(event.text) if isinstance(event, Note) else None,
        )
        told = " ".join(notes)
        for words in ("missed stay visible", "smaller than 40 px", "2 largest", "voices", "“Anna”"):
            assert words in told


class TestDamage:
    def test_readable_frames_are_written_and_the_others_marked(self, tmp_path) -> None:
        whole = clip(tmp_path / "whole.mkv", even_times(60), picture=noise, b_frames=0)
        broken = tmp_path / "broken.mkv"
        content = bytearray(whole.read_bytes())
        content[len(content) // 2 : len(content) // 2 + 4000] = bytes(4000)
        broken.write_bytes(content)
        report = emoscan.annotate_video(broken, table(tmp_path, broken, {}), tmp_path / "o.mp4")
        assert report.exit_code == 4 and report.problems and report.frames > 20
        assert len(times_s(tmp_path / "o.mp4")) == report.frames + report.unreadable

    def test_unreadable_frames_repeat_the_last_picture_in_the_dark(self, tmp_path) -> None:
        whole = clip(tmp_path / "whole.mp4", even_times(50), picture=noise)
        broken = zeroed_copy(whole, tmp_path / "broken.mp4", start=0.5, stop=1.0)
        rows = [empty_row(index, index / 25) for index in range(50)]
        report = emoscan.annotate_video(
            broken, write_table(tmp_path / "t.parquet", rows), tmp_path / "o.mp4"
        )
        assert report.unreadable > 0 and report.frames + report.unreadable == 50
        written = frames(tmp_path / "o.mp4")
        assert len(written) == 50
        assert written[-1][:60].mean() < 0.5 * written[0][:60].mean()

    def test_no_frame_at_all_leaves_nothing(self, tmp_path) -> None:
        (tmp_path / "v.mp4").write_bytes(b"no video")
        rows = write_table(tmp_path / "t.parquet", [empty_row(0, 0.0)])
        with pytest.raises(MediaError):
            emoscan.annotate_video(tmp_path / "v.mp4", rows, tmp_path / "out.mp4")
        assert not list(tmp_path.glob("out*")) and not list(tmp_path.glob(".emoscan*"))


class TestRefused:
    @pytest.mark.parametrize(
        ("metadata", "said"),
        [
            ({"media": {"width": 640, "height": 480, "packets": 11}}, "640 × 480 px"),
            ({"media": {"width": 320, "height": 240, "packets": 12}}, "12 frames"),
            ({"media": {"duration_s": 9.5}}, "9.50 s"),
        ],
    )
    def test_a_timeline_whose_metadata_are_anothers(self, tmp_path, metadata, said: str) -> None:
        video = clip(tmp_path / "v.mp4")
        wrong = table(tmp_path, video, metadata=metadata)
        with pytest.raises(UsageError, match="another video") as error:
            emoscan.annotate_video(video, wrong, tmp_path / "o.mp4")
        assert said in str(error.value) and not list(tmp_path.glob("o.mp4"))

    @pytest.mark.parametrize(
        ("rows", "said"),
        [
            ([face_row(11, 1.04, BOX)], "frame 11"),
            ([face_row(3, 0.12, BOX)], "frame 3 is at 0.120 s, and here it is at 0.170 s"),
            ([face_row(3, 0.17, (500.0, 10.0, 60.0, 60.0))], "outside of 320 × 240"),
        ],
    )
    def test_a_timeline_without_metadata_whose_rows_are_anothers(
        self, tmp_path, rows, said
    ) -> None:
        video = clip(tmp_path / "v.mp4")
        wrong = write_table(tmp_path / "t.csv", rows)
        Path(f"{wrong}.meta.json").unlink()
        with pytest.raises(UsageError, match="another video") as error:
            emoscan.annotate_video(video, wrong, tmp_path / "o.mp4")
        assert said in str(error.value)

    def test_a_timeline_of_its_own_scan_fits_whatever_the_videos_name(
        self, tmp_path, portrait_clip
    ) -> None:
        emoscan.scan(portrait_clip, tmp_path / "t.parquet", options=emoscan.ScanOptions(every=25))
        renamed = tmp_path / "Jörg, “früh”.mp4"
        renamed.write_bytes(portrait_clip.read_bytes())
        report = emoscan.annotate_video(renamed, tmp_path / "t.parquet", tmp_path / "o.mp4")
        assert report.exit_code == 0 and report.frames == 50 and report.faces > 0
        remuxed = remux(renamed, tmp_path / "again.mkv")
        assert (
            emoscan.annotate_video(remuxed, tmp_path / "t.parquet", tmp_path / "p.mp4").frames == 50
        )

    def test_of_several_videos_rows_the_one_of_that_name_is_taken(self, tmp_path) -> None:
        video = clip(tmp_path / "v.mp4")
        rows = [
            face_row(0, 0.0, BOX, source="day1/v.mp4"),
            face_row(90, 3.6, BOX, source="day1/w.mp4"),
        ]
        both = write_table(tmp_path / "t.csv", rows)
        assert emoscan.annotate_video(video, both, tmp_path / "o.mp4").faces == 1
        video.rename(tmp_path / "x.mp4")
        with pytest.raises(UsageError, match="2 files"):
            emoscan.annotate_video(tmp_path / "x.mp4", both, tmp_path / "p.mp4")

    def test_rows_that_are_none_or_of_photos(self, tmp_path) -> None:
        video = clip(tmp_path / "v.mp4")
        with pytest.raises(UsageError, match="no rows"):
            emoscan.annotate_video(video, write_table(tmp_path / "t.csv", []), tmp_path / "o.mp4")
        photos = write_table(tmp_path / "t.csv", [face_row(0, None, BOX, track=None)])
        with pytest.raises(UsageError, match="timeline of photos"):
            emoscan.annotate_video(video, photos, tmp_path / "o.mp4")

    def test_outputs_that_exist_or_have_no_name_for_a_video(self, tmp_path) -> None:
        video = clip(tmp_path / "v.mp4")
        rows = table(tmp_path, video)
        (tmp_path / "o.mp4").write_bytes(b"kept")
        with pytest.raises(OutputError, match="exists already"):
            emoscan.annotate_video(video, rows, tmp_path / "o.mp4")
        assert (tmp_path / "o.mp4").read_bytes() == b"kept"
        for out in ("o.avi", "o"):
            with pytest.raises(UsageError, match=r"\.mp4 or \.mkv"):
                emoscan.annotate_video(video, rows, tmp_path / out)
        with pytest.raises(UsageError, match="the video itself"):
            emoscan.annotate_video(video, rows, video, emoscan.AnnotateOptions(overwrite=True))
        with pytest.raises(NoMediaError, match="does not exist"):
            emoscan.annotate_video(tmp_path / "absent.mp4", rows, tmp_path / "p.mp4")
        emoscan.annotate_video(
            video, rows, tmp_path / "o.mp4", emoscan.AnnotateOptions(overwrite=True)
        )
        assert len(times_s(tmp_path / "o.mp4")) == 11

    def test_options_that_contradict(self) -> None:
        with pytest.raises(UsageError, match="not both"):
            emoscan.AnnotateOptions(blur_faces=True, pixelate_faces=True)
        with pytest.raises(UsageError, match="change nothing"):
            emoscan.AnnotateOptions(boxes=False)


def test_an_interrupt_leaves_nothing(tmp_path) -> None:
    video = clip(tmp_path / "v.mp4", even_times(40), audio_s=1.2)
    rows = table(tmp_path, video)

    def interrupt(event) -> None:
        if isinstance(event, FramesDone) and event.frames > 10:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        emoscan.annotate_video(video, rows, tmp_path / "o.mp4", listener=interrupt)
    assert {path.name for path in tmp_path.iterdir()} == {"v.mp4", "t.parquet"}


def test_works_in_a_thread(tmp_path) -> None:
    video = clip(tmp_path / "v.mp4")
    rows = table(tmp_path, video)
    work = threading.Thread(target=emoscan.annotate_video, args=(video, rows, tmp_path / "o.mkv"))
    work.start()
    work.join()
    assert len(times_s(tmp_path / "o.mkv")) == 11


def test_a_frame_of_pandas_will_do(tmp_path) -> None:
    video = clip(tmp_path / "v.mp4")
    rows = emoscan.read_timeline(table(tmp_path, video))
    rows["label"] = rows["label"].astype(object)
    rows.loc[rows["track"] == 1, "label"] = "A"
    assert emoscan.annotate_video(video, rows, tmp_path / "o.mp4").faces == 11


@pytest.mark.parametrize("media", ["none", {"packets": "many", "width": None}, [1]])
def test_metadata_of_any_form_tell_nothing(media) -> None:
    info = VideoInfo(
        codec="h264", container="mov,mp4", pixel_format="yuv420p", width=640, height=360,
        rotation_deg=0, frame_rate=25.0, duration_s=12.0, start_s=0.0, video_start_s=0.0,
        packets=300, times_synthesised=False, segment_starts=(),
    )  # fmt: skip
    assert _metadata_differ(media, info) is None
