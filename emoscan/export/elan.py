"""Episodes as an ELAN annotation file (.eaf): a tier each track, an annotation each episode.

ELAN: Wittenburg et al., ELAN: a Professional Framework for Multimodality Research, LREC 2006.
"""

from typing import Any

from emoscan.emotions import EMOTIONS
from emoscan.export.libraries import load_pympi
from emoscan.export.media_link import MediaLink
from emoscan.export.video_tracks import VideoTracks, whole_spans

# The schema wants a date; today's would make a new file of every run.
NO_DATE = "1970-01-01T00:00:00+00:00"
TIER_TYPE = VOCABULARY = "apparent expression"
LANGUAGE = "und"  # ISO 639: undetermined, which ELAN gives to the words of any vocabulary
_LANGUAGE_ABOUT = ("http://cdb.iso.org/lg/CDB-00130975-001", "undetermined (und)")


def eaf_document(video: VideoTracks, link: MediaLink) -> Any:
    """A `pympi.Eaf` with the episodes' times in milliseconds; the same input, the same file.

    Raises MissingPartError without pympi-ling.
    """
    eaf = load_pympi().Eaf(author="")
    eaf.remove_tier("default")
    eaf.adocument["DATE"] = NO_DATE
    eaf.header = {"MEDIA_FILE": "", "TIME_UNITS": "milliseconds"}
    eaf.add_linked_file(link.url, relpath=link.relative_url, mimetype=link.mime_type)
    _add_vocabulary(eaf)
    for track in video.tracks:
        eaf.add_tier(track.name, ling=TIER_TYPE, part=track.label)
        episodes = video.episodes_of(track)
        spans_ms = whole_spans(episodes, per_s=1000)
        for (start_ms, end_ms), emotion in zip(spans_ms, episodes["emotion"], strict=True):
            eaf.add_annotation(track.name, start_ms, end_ms, str(emotion))
    _sort_time_slots(eaf)
    eaf.properties = [("lastUsedAnnotationId", eaf.maxaid)]
    return eaf


def _add_vocabulary(eaf: Any) -> None:
    """The seven classes: ELAN offers them where an annotation is corrected by hand."""
    eaf.add_language(LANGUAGE, *_LANGUAGE_ABOUT)
    eaf.add_controlled_vocabulary(VOCABULARY)
    eaf.add_cv_description(VOCABULARY, LANGUAGE, "what a face looks like, not what a person feels")
    for emotion in EMOTIONS:
        eaf.add_cv_entry(VOCABULARY, f"cve_{emotion}", [(emotion, LANGUAGE, None)])
    about = {
        "LINGUISTIC_TYPE_ID": TIER_TYPE,
        "TIME_ALIGNABLE": "true",
        "GRAPHIC_REFERENCES": "false",
        "CONTROLLED_VOCABULARY_REF": VOCABULARY,
    }
    eaf.add_linguistic_type(TIER_TYPE, param_dict=about)


def _sort_time_slots(eaf: Any) -> None:
    """Number the time slots by time: pympi writes them in the order in which they were made."""
    by_time = sorted(eaf.timeslots, key=lambda slot: (eaf.timeslots[slot], int(slot[2:])))
    new = {slot: f"ts{number}" for number, slot in enumerate(by_time, start=1)}
    eaf.timeslots = {new[slot]: eaf.timeslots[slot] for slot in by_time}
    for annotations, *_ in eaf.tiers.values():
        for name, (start, end, *value) in annotations.items():
            annotations[name] = (new[start], new[end], *value)
