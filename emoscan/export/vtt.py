"""Episodes as WebVTT subtitles, which players and browsers show over the video.

WebVTT: The Web Video Text Tracks Format, https://www.w3.org/TR/webvtt1/.
"""

from emoscan.export.video_tracks import VideoTracks, whole_spans

_ABOUT = "NOTE\nApparent expression by emoscan: what a face looks like, not what a person feels."


def subtitles(video: VideoTracks) -> str:
    """A cue for each episode, by onset: `Anna: happy`."""
    cues = [
        (start_ms, end_ms, f"{_escaped(track.name)}: {emotion}")
        for track in video.tracks
        for episodes in [video.episodes_of(track)]
        for (start_ms, end_ms), emotion in zip(
            whole_spans(episodes, per_s=1000), episodes["emotion"], strict=True
        )
    ]
    blocks = [
        f"{_clock(start_ms)} --> {_clock(end_ms)}\n{text}"
        for start_ms, end_ms, text in sorted(cues, key=lambda cue: cue[0])
    ]
    return "\n\n".join(["WEBVTT", _ABOUT, *blocks]) + "\n"


def _clock(time_ms: int) -> str:
    minutes, milliseconds = divmod(time_ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{milliseconds // 1000:02}.{milliseconds % 1000:03}"


def _escaped(name: str) -> str:
    """On one line, for an empty one would end the cue; no arrow, which would begin its times."""
    line = " ".join(name.split())
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
