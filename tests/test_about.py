"""`emoscan info --verbose`: what reads files from outside."""

import av
import PIL


def test_info_tells_of_the_libraries_that_read_files(run) -> None:
    short, long = run("info"), run("info", "--verbose")
    assert (short.code, long.code, short.err, long.err) == (0, 0, "", "")
    assert long.out.replace(" ", "").startswith(short.out.replace(" ", ""))
    facts = dict(line.split("  ", 1) for line in long.out.splitlines())
    told = {name: value.strip() for name, value in facts.items()}
    codec = ".".join(map(str, av.library_versions["libavcodec"]))
    assert told["libavcodec"] == codec and told["Pillow"] == PIL.__version__
    assert av.ffmpeg_version_info in told["PyAV"]
    assert {"libavformat", "libswscale", "libjpeg_turbo", "libheif", "OpenCV"} <= set(told)
