"""Where real clips, photos and FER2013 may lie; they are not part of the repository."""

import os
from pathlib import Path

BESIDE = Path(__file__).parents[2] / "shared"
MEDIA = Path(os.environ.get("EMOSCAN_MEDIA", BESIDE / "media"))
FER2013 = Path(os.environ.get("EMOSCAN_FER2013", BESIDE / "fer2013"))
