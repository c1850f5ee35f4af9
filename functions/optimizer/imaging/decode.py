"""Bytes to image, within byte, pixel, side and frame limits, all checked before pixels are allocated."""

import warnings
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from PIL import Image as pillow
from PIL.Image import DecompressionBombError, DecompressionBombWarning, Image

from optimizer.imaging.encoders import ENCODERS
from optimizer.imaging.metadata import clean_info
from optimizer.limits import MAX_FRAMES, MAX_PIXELS, MAX_UPLOAD_BYTES
from optimizer.problems import (
    DamagedImage,
    TooManyFrames,
    TooManyPixels,
    UnsupportedType,
    UploadTooLarge,
)


@dataclass(frozen=True)
class Source:
    """An opened file: its header is read and within the limits, its pixels are not decoded yet."""

    data: bytes
    format: str  # a key of ENCODERS
    width: int  # pixels, as stored, before any EXIF orientation
    height: int
    bits: int  # per channel
    frames: int
    info: dict[str | tuple[int, int], Any]  # as `clean_info` returns it
    _image: Image

    def load(self) -> Image:
        """Return the decoded pixels of the first frame, in the mode of the file and with a cleaned `info`.

        Raises DamagedImage when they cannot be decoded to the end.
        """
        try:
            self._image.load()
        except MemoryError:
            raise
        except Exception as error:  # the plugins raise OSError, SyntaxError, ValueError, EOFError and more
            raise _damaged(self.format) from error
        # Text and EXIF may stand behind the pixels of a PNG, so only now is `info` complete.
        self._image.info = clean_info(self._image.info, self.bits)
        return self._image


def open_source(data: bytes) -> Source:
    """Read the header of a JPEG, PNG or WebP file, by its content alone.

    Raises UploadTooLarge, UnsupportedType, DamagedImage, TooManyPixels or TooManyFrames.
    """
    if not data:
        raise DamagedImage("This file is empty. Choose it again, or export the image again.")
    if len(data) > MAX_UPLOAD_BYTES:
        raise UploadTooLarge(f"The limit is {MAX_UPLOAD_BYTES // 2**20} MB. Send a smaller file.")
    format = _sniff(data)
    if format is None:
        raise UnsupportedType(
            "This file is not a JPEG, PNG or WebP image. Convert it to one of these and send it again."
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DecompressionBombWarning)
            image = pillow.open(BytesIO(data), formats=[format.upper()])
        # A JPEG of several pictures (MPO, as phones write it) is no animation: its first one is the picture.
        frames = 1 if format == "jpeg" else getattr(image, "n_frames", 1)
    except (DecompressionBombError, DecompressionBombWarning) as error:
        raise _too_many_pixels() from error
    except Exception as error:  # as in Source.load
        raise _damaged(format) from error
    if image.width * image.height > MAX_PIXELS:
        raise _too_many_pixels()
    if frames > MAX_FRAMES:
        raise TooManyFrames(f"The limit is {MAX_FRAMES} frames. Send a shorter animation.")
    bits = data[24] if format == "png" else 8  # IHDR holds the bit depth there
    info = clean_info(image.info, bits)
    return Source(data, format, image.width, image.height, bits, frames, info, image)


def read_info(data: bytes) -> dict[str | tuple[int, int], Any]:
    """Return the metadata in the header of a file that we encoded ourselves, as `clean_info` does."""
    return clean_info(pillow.open(BytesIO(data)).info, bits=8)


def _sniff(data: bytes) -> str | None:
    if data.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "webp"
    return None


def _damaged(format: str) -> DamagedImage:
    return DamagedImage(
        f"This {ENCODERS[format].TITLE} file is damaged or cut off. Export the image again and send that."
    )


def _too_many_pixels() -> TooManyPixels:
    return TooManyPixels(f"The limit is {MAX_PIXELS // 10**6} megapixels. Make the image smaller and send it again.")
