"""The seven classes that emoscan tells apart."""

from enum import StrEnum


class Emotion(StrEnum):
    """FER2013's classes, in alphabetical order: the order of every probability vector here."""

    ANGRY = "angry"
    DISGUST = "disgust"
    FEAR = "fear"
    HAPPY = "happy"
    NEUTRAL = "neutral"
    SAD = "sad"
    SURPRISE = "surprise"


EMOTIONS: tuple[str, ...] = tuple(emotion.value for emotion in Emotion)
