"""Whether two frames show the same scene: what is seen behind the faces, very small.

A cut puts another scene on the screen, and no face goes on across it. A flash only makes the
scene brighter, and while a track's face is hidden the scene stays what it was.
"""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from emoscan.types import Frame

# A picture's levels on a small grid, as (WIDTH × HEIGHT,) of mean 0 and length 1.
View = NDArray[np.float32]

WIDTH, HEIGHT = 32, 18

# The least correlation of two views of one scene. Over two seconds in a crowded street it stays
# above 0.6; of pictures of different scenes, 95 % are below 0.36.
SAME_SCENE = 0.4

# Of a picture whose levels differ less in the mean there is nothing to recognise.
LEAST_CONTRAST = 1.0
LEAST_LENGTH = LEAST_CONTRAST * math.sqrt(WIDTH * HEIGHT)

# Alike to itself: for faces without pictures.
NO_VIEW: View = np.eye(1, WIDTH * HEIGHT, dtype=np.float32)[0]


def view_of(frame: Frame) -> View:
    """The frame's view, from its green levels, which are most of its luma."""
    green = frame.sample()[..., 1]
    small = cv2.resize(green, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    levels = small.astype(np.float32).ravel()
    levels -= levels.sum() / levels.size
    levels /= max(math.sqrt(levels.dot(levels)), LEAST_LENGTH)
    return levels


def show_same_scene(views: View, view: View) -> NDArray[np.bool_]:
    """(N,) which of (N, V) views are of the same scene as the one: by normalised correlation."""
    alike: NDArray[np.bool_] = np.einsum("nv,v->n", views, view) >= SAME_SCENE
    return alike
