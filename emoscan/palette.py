"""One colour for each emotion, the same everywhere in emoscan.

Okabe and Ito's colours (Color Universal Design, 2008), which people with any kind of colour
vision can tell apart; gray is neutral's.
"""

from emoscan.emotions import Emotion

COLOURS: dict[Emotion, str] = {
    Emotion.ANGRY: "#D55E00",
    Emotion.DISGUST: "#009E73",
    Emotion.FEAR: "#CC79A7",
    Emotion.HAPPY: "#E69F00",
    Emotion.NEUTRAL: "#999999",
    Emotion.SAD: "#0072B2",
    Emotion.SURPRISE: "#56B4E9",
}


def rgb(emotion: Emotion) -> tuple[int, int, int]:
    """An emotion's colour, each channel 0 to 255."""
    code = COLOURS[emotion].removeprefix("#")
    return int(code[:2], 16), int(code[2:4], 16), int(code[4:], 16)
