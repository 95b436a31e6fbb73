import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

import emoscan
import emoscan.media.process
from emoscan import RunOptions, ScanOptions
from emoscan.errors import ChangedError, MediaError, MissingPartError
from emoscan.events import FileFinished, FramesDone
from emoscan.media.decoder import MOST_SLOTS
from emoscan.media.find import MediaFile
from emoscan.media.process import RESERVE, SKIPS_S, DecoderProcess
from emoscan.media.shared import SharedMemory
from emoscan.media.video import open_video
from emoscan.outcome import ProblemKind
from emoscan.types import Frame, Unreadable
from tests.clips import even_times, level, noise_picture, write_clip, zeroed_copy

ALL = ScanOptions()
FRAMES = 300  # more than there are slots
GOP = 50

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and /proc are POSIX's")


def named(path: Path) -> MediaFile:
    return MediaFile(path, path.name)


@pytest.fixture(scope="module")
def clip(tmp_path_factory) -> Path:
    return with_gops(tmp_path_factory.mktemp("clip") / "a.mp4")


def with_gops(path: Path, **options: str) -> Path:
    """A key frame every 50 frames, which are 2 s."""
    gops = {"g": str(GOP), "sc_threshold": "0", **options}
    return write_clip(path, even_times(FRAMES), options=gops)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("damaged")
    options = {"picture": noise_picture, "muxer": {"movflags": "faststart"}, "size": (64, 48)}
    whole = write_clip(folder / "whole.mp4", even_times(100), options={"g": "20"}, **options)
    return zeroed_copy(whole, folder / "a.mp4", start=0.5, stop=0.56)


def wait_until(condition) -> bool:
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def is_gone(pid: int) -> bool:
    """Whether a process has ended, be it that nobody has asked yet how."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def named_memory() -> set[Path]:
    folder = Path("/dev/shm")
    return set(folder.iterdir()) if folder.exists() else set()


def same(one: Frame | Unreadable, other: Frame | Unreadable) -> bool:
    facts = [(type(f), f.source, f.index, f.time_s) for f in (one, other)]
    if not isinstance(one, Frame):
        return facts[0] == facts[1]
    sizes = [(f.width, f.height) for f in (one, other)]
    return facts[0] == facts[1] and sizes[0] == sizes[1] and np.array_equal(one.rgb(), other.rgb())


@pytest.mark.parametrize("name", ["clip", "damaged"])
@pytest.mark.parametrize("sampling", [{}, {"every": 7, "start_s": 1.5}, {"fps": 9, "end_s": 2.9}])
def test_it_gives_what_a_thread_gives(request, decoder, name, sampling):
    path, options = request.getfixturevalue(name), ScanOptions(**sampling)
    with open_video(named(path)) as here, decoder.open(named(path)) as there:
        assert there.info == here.info and there.file == here.file
        assert there.expected_frames(options) == here.expected_frames(options)
        frames = zip(here.frames(options), there.frames(options), strict=True)
        assert all(same(*pair) for pair in frames)
        assert there.damage == here.damage
        assert bool(there.damage) == (name == "damaged")


def test_frames_that_are_kept_stay_as_they_are(decoder, clip):
    """Many more than there are slots, and longer than the process lives."""
    with DecoderProcess() as process, process.open(named(clip)) as video:
        kept = list(video.frames(ALL))
    with open_video(named(clip)) as video:
        assert all(same(*pair) for pair in zip(video.frames(ALL), kept, strict=True))


def test_slots_come_back_when_nobody_holds_their_pixels(decoder, clip):
    with decoder.open(named(clip)) as video:
        places = {frame.rgb().ctypes.data for frame in video.frames(ALL)}
        assert len(places) < FRAMES / 2
        views = [frame.rgb()[10:20, ::2] for frame in video.frames(ScanOptions(end_s=1))]
        for _ in video.frames(ALL):
            pass
    seen = [int(view[0, 0, 0]) for view in views]
    assert np.allclose(seen, [level(index) for index in range(25)], atol=6)


def test_pixels_are_copied_only_where_few_slots_are_left(decoder, clip):
    """However far ahead the decoder is."""
    with decoder.open(named(clip)) as video, closing(video.frames(ALL)) as frames:
        held = [next(frames)]
        time.sleep(0.5)  # for the decoder to be as far ahead as it can
        held += islice(frames, MOST_SLOTS + 10)
        copied = [frame.rgb().flags.owndata for frame in held]
        first = MOST_SLOTS - RESERVE
        assert copied == [index >= first for index in range(len(held))]


def test_memory_tells_what_is_given_back():
    memory = SharedMemory()
    memory.grow(2 * 4096)
    lent = memory.lend(4096, width_px=8, height_px=4)
    part = lent[::2, 3:]
    del lent
    assert list(memory.returned()) == []
    memory.close()
    part[:] = 7  # is still there
    del part
    assert list(memory.returned()) == [4096]
    memory.close()


@pytest.mark.parametrize("kept", [True, False])
def test_frames_may_change_their_size_on_the_way(tmp_path, decoder, kept):
    sizes = {"a": (64, 48), "b": (320, 240), "c": (96, 64), "d": (640, 480)}
    for name, size in sizes.items():
        write_clip(tmp_path / f"{name}.ts", even_times(80), size=size)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join((tmp_path / f"{name}.ts").read_bytes() for name in sizes))
    with open_video(named(joined)) as here, decoder.open(named(joined)) as there:
        frames = there.frames(ALL)
        frames = list(frames) if kept else frames
        assert all(same(*pair) for pair in zip(here.frames(ALL), frames, strict=True))


def test_two_videos_of_one_process_may_be_open(decoder, clip, damaged):
    first, second = (decoder.open(named(path)) for path in (clip, damaged))
    assert len(list(first.frames(ALL))) == FRAMES
    assert len(list(second.frames(ALL))) == 100


def test_who_reads_two_videos_of_one_process_by_turns_loses_frames_and_is_told(
    decoder, clip, damaged
):
    first, second = (decoder.open(named(path)) for path in (clip, damaged))
    frames = first.frames(ALL)
    assert next(frames).index == 0
    assert len(list(second.frames(ALL))) == 100
    rest = list(frames)
    assert [item.index for item in rest] == list(range(1, FRAMES))
    assert any(isinstance(item, Unreadable) for item in rest) and first.damage


def test_giving_up_early_ends_the_work(clip):
    with DecoderProcess() as process, process.open(named(clip)) as video:
        with closing(video.frames(ALL)) as frames:
            assert next(frames).index == 0
        assert is_gone(process.pid)
        assert [frame.index for frame in video.frames(ScanOptions(every=100))] == [0, 100, 200]
        assert video.damage == ()


def test_a_process_that_is_killed_costs_some_frames_and_not_the_next_file(clip):
    with DecoderProcess() as process:
        with process.open(named(clip)) as video:
            frames, killed = video.frames(ALL), process.pid
            items = [next(frames) for _ in range(5)]
            os.kill(killed, signal.SIGKILL)
            items += frames
        lost = [item for item in items if isinstance(item, Unreadable)]
        assert [item.index for item in items] == list(range(FRAMES))
        assert 5 <= lost[0].index <= 5 + MOST_SLOTS and 0 < len(lost) <= GOP
        assert (lost[-1].index + 1) % GOP == 0
        assert lost[0].time_s == pytest.approx(lost[0].index / 25)
        assert video.damage == (
            f"{len(lost)} of 300 frames are unreadable, the first at {lost[0].time_s:.3f} s, "
            f"the last at {lost[-1].time_s:.3f} s "
            "(the decoder's process ended by signal 9 (SIGKILL)).",
        )
        with open_video(named(clip)) as here:
            pairs = zip(here.frames(ALL), items, strict=True)
            assert all(same(*pair) for pair in pairs if pair[1] not in lost)
        with process.open(named(clip)) as video:
            assert process.pid != killed
            assert all(isinstance(frame, Frame) for frame in video.frames(ALL))


# A decoder that a packet ends, by the index of its frame.
DEADLY = """
import os, sys
sys.path[:] = sys.argv[2:]
from emoscan.media import container, decoder, video

def decode(stream, packet, failed):
    if packet is not None and packet.pts in {deadly}:
        {end}
    return container.decode(stream, packet, failed)

numbered = video._numbered_frames
def armed(*args, **kwargs):  # not while the file is opened
    video.decode = decode
    return numbered(*args, **kwargs)

video._numbered_frames = armed
decoder.main(sys.argv[1])
"""


@pytest.fixture
def deadly(monkeypatch):
    """Have decoders end at the packets of these frames; the list tells of each that is started."""
    started: list[DecoderProcess] = []

    def arm(frames, *, end: str = "os._exit(9)") -> list:
        boot = DEADLY.format(deadly=repr(frames), end=end)
        monkeypatch.setattr("emoscan.media.process.BOOT", boot)
        return started

    child = emoscan.media.process._Child

    class Counted(child):
        def __init__(self, hwaccel: str) -> None:
            started.append(self)
            super().__init__(hwaccel)

    monkeypatch.setattr("emoscan.media.process._Child", Counted)
    return arm


def lost_of(path: Path, options: ScanOptions = ALL) -> tuple[list[int], tuple[str, ...]]:
    """Which frames are unreadable, and the damage; all are there, and those read are right."""
    with DecoderProcess() as process, process.open(named(path)) as video:
        items = list(video.frames(options))
    with open_video(named(path)) as here:
        for mine, item in zip(here.frames(options), items, strict=True):
            assert (item.index, item.time_s) == (mine.index, mine.time_s)
            assert isinstance(item, Unreadable) or same(item, mine)
    return [item.index for item in items if isinstance(item, Unreadable)], video.damage


def test_a_new_decoder_goes_on_behind_the_place_that_ended_the_last(clip, deadly):
    started = deadly({120, 231})
    lost, damage = lost_of(clip)
    first, second = (lost[: lost.index(149) + 1], lost[lost.index(149) + 1 :])
    assert (first[-1], second[-1]) == (149, 249) and len(started) == 3
    assert 100 <= first[0] <= 120 and first == list(range(first[0], 150))  # in threads: not to 119
    assert 200 <= second[0] <= 231 and second == list(range(second[0], 250))
    assert [" ".join(text.split()[1:9]) for text in damage] == [
        "of 300 frames are unreadable, the first at"
    ] * 2
    assert all("(the decoder's process ended with exit code 9)" in text for text in damage)
    assert "the last at 5.960 s" in damage[0] and "the last at 9.960 s" in damage[1]


def test_frames_before_which_others_are_shown_need_the_key_frame_before(tmp_path, deadly):
    path = with_gops(tmp_path / "a.mp4", **{"x264-params": "open-gop=1:bframes=3"})
    started = deadly({120})
    lost, damage = lost_of(path)
    assert len(started) <= 3 and len(lost) <= 3 * GOP and 120 in lost and len(damage) <= 2
    assert lost == list(range(lost[0], lost[-1] + 1)) and lost[-1] < 250


def test_where_every_decoder_ends_the_rest_is_given_up(clip, deadly):
    started = deadly(range(60, FRAMES))
    lost, damage = lost_of(clip)
    assert lost == list(range(lost[0], FRAMES)) and 49 < lost[0] <= 60
    assert len(started) <= 1 + len(SKIPS_S) and len(damage) <= len(started)


def test_damage_tells_of_no_frame_that_has_not_come_yet(clip, deadly):
    """Whoever ends a part of the table there goes on behind it with another decoder."""
    deadly(range(60, FRAMES))
    with DecoderProcess() as process, process.open(named(clip)) as video:
        items = list(zip(range(200), video.frames(ALL), strict=False))
        lost = [item.index for _, item in items if isinstance(item, Unreadable)]
        told = sum(int(text.split()[0]) for text in video.damage if "unreadable" in text)
        assert len(lost) <= told <= len(lost) + 1 and len(lost) > 100


def test_a_decoder_that_ends_behind_the_last_key_frame_costs_the_rest(clip, deadly):
    started = deadly({260})
    lost, damage = lost_of(clip)
    assert lost == list(range(lost[0], FRAMES)) and lost[0] >= 250
    assert len(damage) == 1 and len(started) <= 2


def test_ends_between_frames_that_are_looked_at_cost_none(clip, deadly):
    deadly({120})
    lost, damage = lost_of(clip, ScanOptions(every=100))
    assert lost == []
    assert damage == (
        "At about 4.000 s the decoder's process ended with exit code 9; no frame was lost by that.",
    )


def test_damage_of_several_decoders_says_whose_it_is(damaged, deadly):
    """That is damage at frame 50 and behind it, and a crash before."""
    deadly({15})
    _, damage = lost_of(damaged)
    assert "the decoder's process ended" in damage[0]
    assert damage[1].startswith("From frame 19 on: ") and "are unreadable" in damage[1]


def test_a_hang_is_gone_on_after_as_well(clip, deadly, monkeypatch):
    deadly({120}, end="import time; time.sleep(600)")
    with DecoderProcess() as process, process.open(named(clip)) as video:
        # Of this process alone: the next one has to load its libraries.
        monkeypatch.setattr(process._child._watchdog, "_silence_s", 3.0)
        lost = [item.index for item in video.frames(ALL) if isinstance(item, Unreadable)]
    assert lost == list(range(lost[0], 150)) and lost[0] <= 120
    assert "the decoder hung for 3 s and was ended" in video.damage[0]


def test_a_file_that_changed_meanwhile_is_not_gone_on_with(tmp_path, clip, deadly):
    deadly({120})
    path = tmp_path / "a.mp4"
    shutil.copy(clip, path)
    with DecoderProcess() as process, process.open(named(path)) as video:
        frames = video.frames(ALL)
        next(frames)
        write_clip(tmp_path / "other.mp4", even_times(40)).replace(path)
        with pytest.raises(ChangedError, match=r"a\.mp4 was changed or removed"):
            list(frames)


def test_what_was_aborted_is_not_started_again(clip):
    with DecoderProcess() as process, process.open(named(clip)) as video:
        frames = video.frames(ALL)
        next(frames)
        process.abort()
        assert any(isinstance(item, Unreadable) for item in frames)
        assert process.pid is None
        with pytest.raises(MediaError, match="was ended"):
            process.open(named(clip))


def test_a_decoder_that_hangs_costs_its_frames_and_not_the_next_file(clip, monkeypatch):
    with DecoderProcess() as process:
        with process.open(named(clip)) as video:
            monkeypatch.setattr(process._child._watchdog, "_silence_s", 1.0)
            frames = video.frames(ALL)
            items = [next(frames) for _ in range(3)]
            os.kill(process.pid, signal.SIGSTOP)
            items += frames
        assert [item.index for item in items] == list(range(FRAMES))
        assert any(isinstance(item, Unreadable) for item in items)
        assert "the decoder hung for 1 s and was ended" in video.damage[0]
        assert process.open(named(clip)).info.packets == FRAMES


def test_a_decoder_that_makes_progress_is_waited_for(tmp_path, monkeypatch):
    """Between frames that are looked at lie thousands that are not, each a heartbeat or less."""
    slow = (
        "import sys, time; sys.path[:] = sys.argv[3:];"
        "from emoscan.media import decoder, container;"
        "decoder.HEARTBEAT_S = 0.1; decode = container.decode;"
        "from emoscan.media import video;"
        "video.decode = lambda *a: (time.sleep(0.1), decode(*a))[1];"
        "decoder.main(sys.argv[1])"
    )
    clip = write_clip(tmp_path / "slow.mp4", even_times(40))
    monkeypatch.setattr("emoscan.media.process.BOOT", slow)
    with DecoderProcess() as process:
        process.open(named(clip))  # which takes long: libraries have to be loaded
        monkeypatch.setattr(process._child._watchdog, "_silence_s", 2.0)
        video = process.open(named(clip))
        # Four seconds of decoding, twice as long as a silence may be.
        frames = list(video.frames(ScanOptions(every=39)))
    assert [type(frame) for frame in frames] == [Frame, Frame] and video.damage == ()


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="needs /proc")
def test_a_decoder_may_not_take_all_memory(decoder):
    decoder.start()
    assert wait_until(lambda: str(16 * 2**30) in Path(f"/proc/{decoder.pid}/limits").read_text())


def test_a_process_that_ends_while_it_opens_a_file(clip):
    with DecoderProcess() as process:
        process.start()
        os.kill(process.pid, signal.SIGSTOP)
        threading.Timer(0.2, os.kill, (process.pid, signal.SIGKILL)).start()
        with pytest.raises(MediaError, match=r"a\.mp4 cannot be opened: .* by signal 9 \(SIGKILL"):
            process.open(named(clip))
        assert process.open(named(clip)).info.packets == FRAMES


def test_a_process_that_ends_between_two_files(clip):
    with DecoderProcess() as process:
        process.start()
        os.kill(process.pid, signal.SIGKILL)
        assert wait_until(lambda: is_gone(process.pid))
        assert process.open(named(clip)).info.packets == FRAMES


def test_a_bug_there_is_told_here(decoder, clip):
    decoder.open(named(clip))
    child = decoder._usable_child(None)
    child.request({"nonsense": 1})
    with pytest.raises(RuntimeError, match="KeyError") as raised:
        child.answer()
    assert "Traceback" in raised.value.__notes__[0]
    assert decoder.open(named(clip)).info.packets == FRAMES


def test_a_process_that_cannot_be_started_is_said(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with DecoderProcess() as process, pytest.raises(MissingPartError, match="--decode-in-process"):
        process.start()


@pytest.mark.parametrize("lacking", ["thread", "descriptor"])
def test_a_machine_at_its_limits_is_said_and_nothing_is_left(monkeypatch, lacking):
    started: list[subprocess.Popen] = []
    popen = subprocess.Popen

    def noted(*args, **kwargs):
        started.append(popen(*args, **kwargs))
        return started[-1]

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread") if lacking == "thread" else OSError(24, "Many")

    monkeypatch.setattr(subprocess, "Popen", noted)
    name = "Watchdog" if lacking == "thread" else "SharedMemory"
    monkeypatch.setattr(emoscan.media.process, name, fail)
    with DecoderProcess() as process, pytest.raises(MissingPartError, match="cannot be started"):
        process.start()
    assert len(started) == (lacking == "thread")
    assert all(process.poll() is not None for process in started)


def test_it_ignores_ctrl_c(decoder, clip):
    with decoder.open(named(clip)) as video:
        frames = video.frames(ALL)
        next(frames)
        os.kill(decoder.pid, signal.SIGINT)
        assert len(list(frames)) == FRAMES - 1 and video.damage == ()
    assert os.getpgid(decoder.pid) != os.getpgid(0)  # the terminal would not even send it


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_it_ends_with_what_goes_wrong_here(clip, error):
    with pytest.raises(error), DecoderProcess() as process, process.open(named(clip)) as video:
        next(video.frames(ALL))
        pid = process.pid
        raise error
    assert is_gone(pid)


@pytest.mark.parametrize("at_work", [True, False])
def test_it_ends_with_its_parent(clip, at_work):
    """That is killed, and so can say nothing any more."""
    code = f"""
import pathlib, time
from emoscan.media.find import MediaFile
from emoscan.media.process import DecoderProcess, ScanOptions
process = DecoderProcess()
video = process.open(MediaFile(pathlib.Path({str(clip)!r}), "a"))
frames = video.frames(ScanOptions()) if {at_work} else iter([0])
next(frames)
print(process.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        pid = int(parent.stdout.readline())
        assert not is_gone(pid)
        parent.kill()
    assert wait_until(lambda: is_gone(pid))


def test_it_loads_no_torch(decoder, clip):
    assert decoder.open(named(clip)).expected_frames(ALL) == FRAMES
    libraries = Path(f"/proc/{decoder.pid}/maps").read_text()
    assert "/av/" in libraries and "torch" not in libraries
    code = "import json, sys, emoscan.media.decoder; print(json.dumps(list(sys.modules)))"
    modules = json.loads(subprocess.check_output([sys.executable, "-c", code]))
    assert not {"torch", "pandas", "pyarrow", "scipy"} & set(modules)


def test_a_script_needs_no_main_guard(tmp_path, clip):
    """It runs once, ends with rows left, and leaves nothing behind but what it says."""
    script = tmp_path / "script.py"
    script.write_text(f"""
import emoscan
import emoscan.media.process
rows = emoscan.analyze_video({str(clip)!r}, emoscan.ScanOptions(every=20))
print(next(rows).status, flush=True)
""")
    before = named_memory()
    done = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("no_face\n", "")
    assert named_memory() <= before


def test_a_job_goes_on_after_a_crash(clip, tmp_path, monkeypatch):
    processes: list[DecoderProcess] = []

    class Known(DecoderProcess):
        def __enter__(self):
            processes.append(self)
            return super().__enter__()

    def kill_once(event) -> None:
        finished.append(event) if isinstance(event, FileFinished) else None
        if isinstance(event, FramesDone) and not killed:
            killed.append(processes[0].pid)
            os.kill(killed[0], signal.SIGKILL)

    killed: list[int] = []
    finished: list[FileFinished] = []
    monkeypatch.setattr("emoscan.pipeline.DecoderProcess", Known)
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "in" / name).write_bytes(clip.read_bytes())
    run = RunOptions(batch_size=4)
    report = emoscan.scan(tmp_path / "in", tmp_path / "out", run=run, listener=kill_once)
    assert [(p.source, p.kind) for p in report.problems] == [("a.mp4", ProblemKind.DAMAGED)]
    assert "ended by signal 9" in report.problems[0].reason
    assert report.frames + report.unreadable == 2 * FRAMES and 0 < report.unreadable <= GOP
    table = emoscan.read_timeline(tmp_path / "out" / "timelines" / "a.mp4.parquet")
    assert list(table["frame"]) == list(range(FRAMES))
    assert finished[1].problem is None and finished[1].frames == FRAMES


def test_decoding_in_this_process_starts_no_other(clip, tmp_path, monkeypatch):
    monkeypatch.setattr("emoscan.pipeline.DecoderProcess", None)
    run = RunOptions(decode_in_process=True)
    report = emoscan.scan(clip, tmp_path / "t.csv", options=ScanOptions(every=100), run=run)
    assert report.frames == 3
