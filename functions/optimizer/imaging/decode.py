"""Bytes to image. All limits on bytes, pixels, parts and frames are checked before pixels are allocated."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from PIL import Image as pillow
from PIL.Image import Image

from optimizer.imaging.containers import padded_webp, take_exif_out, take_png_apart
from optimizer.imaging.header import check_size, damaged, read_header
from optimizer.imaging.metadata import Info, clean_info, is_bounded, orientation, with_orientation
from optimizer.limits import MAX_UPLOAD_BYTES
from optimizer.problems import DamagedImage, UploadTooLarge

# By how much a JPEG is decoded smaller, and how many times smaller the result must at least be for that. About a fifth
# is left for the resize: of a block's 64 coefficients, 1/4 keeps four and 1/8 keeps one, too few to look like Lanczos
# by themselves. A quarter of eight photos scores 85 to 93 from 1/4, and 95 to 96 from 1/2. It is a little less than
# 2.5 times because sizes are rounded up.
_DIVISORS = ((8, 9.92), (4, 4.96), (2, 2.48))
# Half the size scores 90 to 94 from 1/2 alone. From all pixels it scores 96, with 3 to 4 percent fewer bytes at equal
# score. That costs 80 ms for 12 megapixels: less than half of what WebP takes to encode, and twice what JPEG takes.
_HALF = 1.998
_WHOLE_PIXELS = 16_000_000  # above this, memory and time matter more


@dataclass(frozen=True)
class Source:
    """An opened file. Its header has been read and is within the limits; its pixels are not decoded yet."""

    data: bytes
    format: str  # a key of ENCODERS
    width: int  # pixels, as stored, before any EXIF orientation
    height: int
    bits: int  # per channel
    frames: int
    info: Info  # as `clean_info` returns it
    _image: Image

    def divisor_for(self, size: tuple[int, int], format: str) -> int | None:
        """Return by how much to decode a JPEG smaller for a result of this size (as stored) and format: 1, 2, 4 or 8.

        The JPEG's DCT does that much faster than decoding all pixels and resizing. Returns None for any other source,
        and for a result that is more than half as wide or high.
        """
        times = min(self.width / size[0], self.height / size[1])
        if self.format != "jpeg" or times < _HALF:
            return None
        whole = format != "jpeg" and self.width * self.height <= _WHOLE_PIXELS
        return next((divisor for divisor, least in _DIVISORS if times >= least), 1 if whole else 2)

    def load(self, divisor: int = 1) -> Image:
        """Return the decoded pixels of the first frame, in the file's own mode, with `info` as its metadata.

        Width and height of a JPEG are divided by the divisor and rounded up to whole pixels. Raises DamagedImage if the
        pixels cannot be decoded to the end.
        """
        try:
            if divisor > 1:
                self._image.draft(None, (self.width // divisor, self.height // divisor))  # no mode keeps the file's
            self._image.load()
        except MemoryError:
            raise
        except Exception as error:  # the plugins raise OSError, SyntaxError, ValueError, EOFError and more
            raise damaged(self.format) from error
        if self._image.mode == "P" and self._image.palette is None:
            raise damaged(self.format)
        self._image.info = dict(self.info)
        return self._image

    def load_frames(self) -> Iterator[tuple[Image, int]]:
        """Yield each frame of an animated WebP as the whole canvas, and how many milliseconds it is shown.

        Frames are decoded one at a time. After the first, `info` holds only what the pixels need: reading long EXIF a
        thousand times would take too long. Raises DamagedImage if a frame cannot be decoded.
        """
        needed: Info = {key: value for key, value in self.info.items() if key == "icc_profile"}
        turned = orientation(self.info)
        if turned != 1 and (exif := with_orientation({}, turned)):
            needed["exif"] = exif
        film = _open(self.data, self.format)[0]  # a second decoder, since `load` may have moved the first
        for index in range(self.frames):
            try:
                film.seek(index)
                film.load()
            except MemoryError:
                raise
            except Exception as error:  # as in load
                raise damaged(self.format) from error
            milliseconds = film.info["duration"]
            if milliseconds < 0:  # libwebp counts in 31 bits: after 24 days the count goes below zero
                raise damaged(self.format)
            frame = film.copy()  # the next one is decoded into the same memory
            frame.info = dict(needed if index else self.info)
            yield frame, milliseconds


def open_source(data: bytes) -> Source:
    """Read the header of a JPEG, PNG or WebP file. The format is read from its content alone.

    Raises UploadTooLarge, DamagedImage and the problems of `read_header`.
    """
    if not data:
        raise DamagedImage("This file is empty. Choose it again, or export the image again.")
    if len(data) > MAX_UPLOAD_BYTES:
        raise UploadTooLarge(f"The limit is {MAX_UPLOAD_BYTES // 2**20} MB. Send a smaller file.")
    header = read_header(data)
    if header.format == "webp":
        data = padded_webp(data)
    try:
        image, info, frames = _open(data, header.format)
    except MemoryError:
        raise
    except Exception as error:  # as in Source.load
        raise damaged(header.format) from error
    check_size(image.width, image.height, frames)  # whatever the walk has read, these pixels get decoded
    return Source(data, header.format, image.width, image.height, header.bits, frames, info, image)


def read_info(data: bytes, format: str) -> Info:
    """Return the metadata, as `clean_info` does, of a file that we encoded ourselves."""
    return _open(data, format)[1]


def _open(data: bytes, format: str) -> tuple[Image, Info, int]:
    """Return the image, its metadata and the number of its frames; raises whatever Pillow's plugin raises."""
    if format == "png":
        readable, texts = take_png_apart(data)
        image = pillow.open(BytesIO(readable), formats=[format.upper()])
        info = clean_info(image.info, texts)
        if "transparency" in info:
            info["transparency"] = _eight_bit(info["transparency"], depth=data[24], color_type=data[25])
            if image.mode == "P" and image.palette:
                _fit(info, len(image.palette.palette) // 3)
    else:
        if format == "jpeg":
            without, exif = take_exif_out(data)
            data = data if is_bounded(exif) else without  # Pillow would look for the density in the EXIF
        image = pillow.open(BytesIO(data), formats=[format.upper()])
        info = clean_info(image.info, {})
    # A JPEG with several pictures (MPO, as phones write it) is not an animation; its first picture counts.
    return image, info, 1 if format == "jpeg" else getattr(image, "n_frames", 1)


def _eight_bit(transparency: Any, depth: int, color_type: int) -> Any:
    """Scale the transparent colour of a gray or RGB PNG as Pillow scales its pixels. In a palette it is an index."""
    if color_type == _PALETTE or not isinstance(transparency, int | tuple):
        return transparency
    if isinstance(transparency, tuple):
        return tuple(value >> 8 for value in transparency) if depth == 16 else transparency
    return {2: transparency * 85, 4: transparency * 17, 16: transparency >> 8}.get(depth, transparency)


def _fit(info: Info, colors: int) -> None:
    """Remove the transparency of colours that the palette does not have."""
    transparency = info["transparency"]
    if isinstance(transparency, bytes):
        info["transparency"] = transparency[:colors]
    elif transparency >= colors:
        del info["transparency"]


_PALETTE = 3  # color type in IHDR
