"""PyPI's `fer` with MTCNN, in the environment that `make peers` builds.

As its README shows it: OpenCV reads the frames, `FER(mtcnn=True)` looks at each. It has no option
for the smallest face, and its MTCNN looks for faces from 20 px on; asked for another size, that
is set on the detector inside it.
"""

import time
from importlib.metadata import version

from benchmarks.speed.protocol import Answer, Handlers, serve

OF_INTEREST = ("fer", "facenet-pytorch", "torch", "tensorflow", "opencv-contrib-python", "numpy")


def load() -> Handlers:
    """Its networks, and what it can be asked."""
    import cv2
    from fer.fer import FER  # type: ignore[import-not-found]

    detector = FER(mtcnn=True)
    own_min_face_px = detector._mtcnn.min_face_size

    def video(path: str, *, seconds: float, min_face_px: int | None = None) -> Answer:
        detector._mtcnn.min_face_size = min_face_px or own_min_face_px
        capture = cv2.VideoCapture(path)
        began, frames, faces = time.perf_counter(), 0, 0
        while True:
            read, frame = capture.read()
            if not read or capture.get(cv2.CAP_PROP_POS_MSEC) >= 1000 * seconds:
                break
            faces += len(detector.detect_emotions(frame))
            frames += 1
        return {"frames": frames, "faces": faces, "seconds": time.perf_counter() - began}

    return {"video": video, "versions": versions}


def versions() -> Answer:
    """Of the packages that do the work."""
    return {name: version(name) for name in OF_INTEREST}


if __name__ == "__main__":
    serve(load)
