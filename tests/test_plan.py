from pathlib import Path

import pytest

from emoscan.errors import OutputError, UsageError
from emoscan.media.find import MediaFile
from emoscan.options import RunOptions, Shard, TableFormat
from emoscan.plan import plan_photos, plan_videos, unsharded


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)


PHOTOS = [MediaFile(Path("photos/a.jpg"), "a.jpg")]


def files(*sources: str) -> list[MediaFile]:
    return [MediaFile(Path("videos") / source, source) for source in sources]


def test_one_video_is_one_table() -> None:
    named = Path("a/interview.mp4")
    alone = [MediaFile(named, "interview.mp4")]
    assert plan_videos([named], alone, run=RunOptions()).outputs == (
        Path("interview.emotions.parquet"),
    )
    plan = plan_videos([named], alone, run=RunOptions(out="x/t.csv"))
    assert (plan.outputs, plan.table_format) == ((Path("x/t.csv"),), TableFormat.CSV)


def test_several_videos_are_a_folder_of_timelines() -> None:
    plan = plan_videos([Path("videos")], files("a.mp4", "b/a.mkv"), run=RunOptions(out="out"))
    assert plan.outputs == (
        Path("out/timelines/a.mp4.parquet"),
        Path("out/timelines/b/a.mkv.parquet"),
    )


def test_a_folder_with_one_video_is_a_folder_of_timelines() -> None:
    plan = plan_videos([Path("videos")], files("a.mp4"), run=RunOptions(format=TableFormat.CSV))
    assert plan.outputs == (Path("videos.emotions/timelines/a.mp4.csv"),)


def test_stdout_takes_all() -> None:
    plan = plan_videos([Path("videos")], files("a.mp4", "b.mp4"), run=RunOptions(out="-"))
    assert plan.streams and plan.outputs == (None, None)
    assert plan_photos(
        [Path("photos")], PHOTOS, run=RunOptions(out="-", format=TableFormat.JSONL)
    ).streams


def test_two_videos_never_share_a_table() -> None:
    named = [Path("one/a.mp4"), Path("two/a.mp4")]
    clash = [MediaFile(path, path.name) for path in named]
    with pytest.raises(UsageError, match="would both be called"):
        plan_videos(named, clash, run=RunOptions(out="out"))


def test_for_several_videos_out_is_no_file() -> None:
    with pytest.raises(UsageError, match="--out is a folder"):
        plan_videos([Path("videos")], files("a.mp4", "b.mp4"), run=RunOptions(out="t.parquet"))


def test_for_one_table_out_is_no_folder(tmp_path) -> None:
    with pytest.raises(UsageError, match="name a file such as"):
        plan_photos([Path("photos")], PHOTOS, run=RunOptions(out=str(tmp_path)))


def test_existing_tables_are_refused_before_the_start() -> None:
    Path("t.parquet").touch()
    with pytest.raises(OutputError, match="--overwrite"):
        plan_photos([Path("photos")], PHOTOS, run=RunOptions(out="t.parquet"))
    assert plan_photos(
        [Path("photos")], PHOTOS, run=RunOptions(out="t.parquet", overwrite=True)
    ).outputs
    existing = Path("out/timelines/b.mp4.parquet")
    existing.parent.mkdir(parents=True)
    existing.touch()
    with pytest.raises(OutputError, match=r"b\.mp4\.parquet exists already"):
        plan_videos([Path("videos")], files("a.mp4", "b.mp4"), run=RunOptions(out="out"))


def test_unknown_suffixes_are_refused() -> None:
    with pytest.raises(UsageError, match="xlsx"):
        plan_photos([Path("photos")], PHOTOS, run=RunOptions(out="t.xlsx"))


def test_an_input_is_never_replaced() -> None:
    video = Path("a.mp4")
    video.touch()
    run = RunOptions(out="a.mp4", format=TableFormat.CSV, overwrite=True)
    with pytest.raises(UsageError, match="one of the inputs"):
        plan_videos([video], [MediaFile(video, "a.mp4")], run=run)


def test_two_photos_of_one_name_are_refused() -> None:
    named = [Path("one"), Path("two")]
    clash = [MediaFile(path / "a.jpg", "a.jpg") for path in named]
    with pytest.raises(UsageError, match="would both be called"):
        plan_photos(named, clash, run=RunOptions(out="t.csv"))
    with pytest.raises(UsageError, match="would both be called"):
        plan_videos(named, clash, run=RunOptions(out="-"))


def test_names_without_out() -> None:
    both = [Path("one"), Path("two")]
    assert plan_photos(both, PHOTOS, run=RunOptions()).outputs == (Path("photos.emotions.parquet"),)
    assert plan_videos(both, files("a.mp4", "b.mp4"), run=RunOptions()).outputs[0] == (
        Path("videos.emotions/timelines/a.mp4.parquet")
    )


def test_a_trailing_slash_names_a_folder() -> None:
    with pytest.raises(UsageError, match="is a folder"):
        plan_photos([Path("photos")], PHOTOS, run=RunOptions(out="new/"))


def test_a_place_that_takes_no_files_is_refused_at_once() -> None:
    Path("file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        plan_photos([Path("photos")], PHOTOS, run=RunOptions(out="file/t.csv"))


def test_the_order_of_inputs_does_not_matter() -> None:
    video = Path("a.mp4")
    for named in ([video, Path("empty")], [Path("empty"), video]):
        plan = plan_videos(named, [MediaFile(video, "a.mp4")], run=RunOptions(out="t.parquet"))
        assert plan.outputs == (Path("t.parquet"),)


def test_names_too_long_for_a_table_are_refused_before_the_start() -> None:
    with pytest.raises(UsageError, match="too long a name"):
        plan_videos([Path("videos")], files("あ" * 75 + ".mp4", "b.mp4"), run=RunOptions())


def test_a_shard_of_photos_has_a_table_of_its_own() -> None:
    plan = plan_photos([Path("photos")], PHOTOS, run=RunOptions(shard="3/8", out="x/a.b.csv"))
    assert plan.outputs == (Path("x/a.b.3-of-8.csv"),) and plan.of_all
    plan = plan_photos([Path("photos")], PHOTOS, run=RunOptions(shard="3/8"))
    assert plan.outputs == (Path("photos.emotions.3-of-8.parquet"),)
    assert unsharded(Path("x/a.b.3-of-8.csv"), Shard(3, 8)) == Path("x/a.b.csv")
    assert unsharded(Path("x/a.3-of-8.csv"), None) == Path("x/a.3-of-8.csv")
