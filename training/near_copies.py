"""Images that are all but the same as one of another set, FER2013's train for instance."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

# So FER2013's near copies were counted: 297 of PrivateTest and 289 of PublicTest in train.
NEAR_COPY_LIMIT = 2.5
BLOCK_PX = 12
CHUNK_IMAGES = 256


def find_near_copies(
    images: NDArray[np.uint8], among: NDArray[np.uint8], *, limit: float = NEAR_COPY_LIMIT
) -> NDArray[np.bool_]:
    """(N,) bool: which of the (N, 48, 48) images have a near copy in the (M, 48, 48) others.

    A near copy's pixels differ by less than `limit` gray levels of 255 in the mean; mirror images
    are other images. The answer is exact: the differences of the sums over blocks never exceed
    those of the pixels, so that a tree over 16 block sums an image leaves only a few pairs to
    compare pixel by pixel, and loses none.
    """
    found = np.zeros(len(images), bool)
    if not len(among):
        return found
    tree = KDTree(_block_sums(among))
    most = limit * among[0].size
    for start in range(0, len(images), CHUNK_IMAGES):
        chunk = images[start : start + CHUNK_IMAGES]
        near = tree.query_ball_point(_block_sums(chunk), most, p=1)
        for row, candidates in enumerate(near):
            found[start + row] = _has_copy(chunk[row], among[candidates], most)
    return found


def _block_sums(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(N, blocks) sums of gray levels over squares of BLOCK_PX, whole numbers."""
    count, height, width = images.shape
    blocks = images.reshape(count, height // BLOCK_PX, BLOCK_PX, width // BLOCK_PX, BLOCK_PX)
    sums: NDArray[np.float64] = blocks.sum(axis=(2, 4), dtype=np.float64)
    return sums.reshape(count, -1)


def _has_copy(image: NDArray[np.uint8], others: NDArray[np.uint8], most: float) -> bool:
    differences = np.abs(others.astype(np.int16) - image).sum(axis=(1, 2), dtype=np.int64)
    return bool((differences < most).any())
