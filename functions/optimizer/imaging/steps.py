"""The steps of the pipeline: image in, image out. They are pure, and each first checks whether there is nothing to do.

A step that changes nothing returns the same object that it was given. That is how the pipeline knows what was done.
Images carry the metadata of `clean_info` in their `info`.
"""

from collections.abc import Callable
from functools import cache
from io import BytesIO

from PIL import Image as pillow
from PIL import ImageChops, ImageCms
from PIL.Image import Image, Resampling, Transpose
from PIL.ImageCms import Flags, ImageCmsProfile, Intent, PyCMSError
from PIL.ImageFilter import Filter, GaussianBlur, UnsharpMask

from optimizer.imaging.encoders import ENCODERS, SMALLEST
from optimizer.imaging.metadata import orientation, with_orientation
from optimizer.imaging.resample import Area, shrink
from optimizer.settings import Settings

Step = Callable[[Image, Settings], Image]

# EXIF 2.32, tag 0x0112: how the stored picture is turned, and what undoes it.
_UPRIGHT = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}


def orient(image: Image, settings: Settings) -> Image:
    """Turn the pixels as the EXIF orientation says, and reset the tag so that no viewer turns them again."""
    turn = _UPRIGHT.get(orientation(image.info))
    if turn is None or not settings.auto_orient:
        return image
    result = image.transpose(turn)
    result.info = {key: value for key, value in image.info.items() if key != "exif"}
    if exif := with_orientation(image.info, 1):
        result.info["exif"] = exif
    return result


def normalize_mode(image: Image, settings: Settings) -> Image:
    """Convert every mode to L, LA, RGB, RGBA or CMYK with 8 bits. Alpha is dropped if every pixel is opaque."""
    if image.mode.startswith("I"):
        image = _eight_bit(image)
    if image.mode == "1":
        image = image.convert("L")
    if image.mode in ("P", "PA") and not image.has_transparency_data:
        image = image.convert("RGB")
    elif image.mode not in ("LA", "RGBA") and image.has_transparency_data:
        image = image.convert("LA" if image.mode == "L" else "RGBA")
    if image.mode in ("LA", "RGBA") and image.getchannel("A").getextrema() == (255, 255):
        image = image.convert(image.mode[:-1])
    return image


def _eight_bit(image: Image) -> Image:
    """Scale 16-bit gray to L by taking the high byte. Pillow's own conversion would clip at 255."""
    result = image.point(lambda value: value * (1 / 256)).convert("L")
    result.info = dict(image.info)
    return result


def convert_cmyk(image: Image, settings: Settings) -> Image:
    """Convert CMYK to sRGB by its profile. Without one, R = 255 - C - K (1 - C/255), as browsers do."""
    if image.mode != "CMYK":
        return image
    profile = _open_profile(image)
    result = _apply_profile(image, profile) if profile else image.convert("RGB")
    result.info = {key: value for key, value in image.info.items() if key != "icc_profile"}
    return result


def to_srgb(image: Image, settings: Settings) -> Image:
    """Convert the pixels from their ICC profile to sRGB and drop the profile.

    There is nothing to do if metadata is kept and the pixels are RGB, since the profile then stays with them (not every
    format holds gray). Nor is there if no profile fits the mode, or if the profile is sRGB under another name.
    """
    if not settings.strip_metadata and image.mode.startswith("RGB"):
        return image
    profile = _open_profile(image)
    if profile is None or _is_srgb(profile):
        return image
    color = image.convert(image.mode.removesuffix("A"))
    result = _apply_profile(color, profile).convert(color.mode)
    if image.mode.endswith("A"):
        result.putalpha(image.getchannel("A"))
    result.info = {key: value for key, value in image.info.items() if key != "icc_profile"}
    return result


_COLOR_SPACES = {"GRAY": ("L", "LA"), "RGB ": ("RGB", "RGBA"), "CMYK": ("CMYK",)}


def _open_profile(image: Image) -> ImageCmsProfile | None:
    """Return the image's profile if it can be read and fits the mode; viewers ignore any other profile, too."""
    try:
        profile = ImageCmsProfile(BytesIO(image.info["icc_profile"]))
    except (KeyError, OSError, PyCMSError):
        return None
    return profile if image.mode in _COLOR_SPACES.get(profile.profile.xcolor_space, ()) else None


@cache
def _srgb() -> ImageCmsProfile:
    return ImageCms.createProfile("sRGB")  # type: ignore[return-value]  # a core profile, which works here as well


def _apply_profile(image: Image, profile: ImageCmsProfile, flags: Flags = Flags.NONE) -> Image:
    """Return an image of mode L, RGB or CMYK as sRGB in mode RGB. A profile without a transform is ignored."""
    try:
        result = ImageCms.profileToProfile(
            image, profile, _srgb(), renderingIntent=Intent.PERCEPTUAL, outputMode="RGB", flags=flags
        )
    except PyCMSError:
        return image.convert("RGB")
    assert result is not None  # only inPlace returns None
    return result


def _is_srgb(profile: ImageCmsProfile) -> bool:
    """Return whether the profile moves no colour of a 9 x 9 x 9 lattice by more than 2 levels."""
    image = _lattice().convert("RGB" if profile.profile.xcolor_space == "RGB " else "L")
    # Precomputed tables take 2 ms, which does not pay off for so few pixels.
    moved = ImageChops.difference(image.convert("RGB"), _apply_profile(image, profile, Flags.NOOPTIMIZE))
    return max(moved.tobytes()) <= 2


@cache
def _lattice() -> Image:
    levels = [min(level * 32, 255) for level in range(9)]
    return pillow.frombytes(
        "RGB", (81, 9), bytes(value for r in levels for g in levels for b in levels for value in (r, g, b))
    )


def target_size(size: tuple[int, int], settings: Settings) -> tuple[int, int]:
    """Return the width and height in pixels that `resize` makes of this size. It applies the percent first, then the
    fit into width and height. Neither becomes less than 1.
    """
    percent = settings.resize_percent
    width, height = (max(1, round(side * percent / 100)) for side in size)
    scale = min(1.0, (settings.width or width) / width, (settings.height or height) / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def resize(image: Image, settings: Settings) -> Image:
    return resize_to(target_size(image.size, settings))(image, settings)


def resize_to(size: tuple[int, int], area: Area | None = None) -> Step:
    """Return a step that resizes to this size, in pixels. If an area is given, it resizes only that, as for a JPEG that
    was decoded smaller.
    """

    def step(image: Image, settings: Settings) -> Image:
        if area:
            return shrink(image, area, size)
        return image if size == image.size else image.resize(size, Resampling.LANCZOS)

    return step


def tone(image: Image, settings: Settings) -> Image:
    """Multiply the colours by 1 + brightness/100, then their distance from the mean gray by 1 + contrast/100.

    Alpha does not change. One table does what Pillow's ImageEnhance.Brightness and then Contrast do. The mean is taken
    over the visible pixels.
    """
    return steady_tone()(image, settings)


def steady_tone() -> Step:
    """Return `tone` for the frames of an animation, with the mean of the first frame that shows anything.

    With each frame's own mean, still parts of the picture would change colour when others move.
    """
    tables: list[Image] = []

    def step(image: Image, settings: Settings) -> Image:
        if settings.brightness == settings.contrast == 0:
            return image
        alpha = image.getchannel("A") if image.mode.endswith("A") else None
        if alpha and alpha.getextrema() == (0, 0):
            return image
        if not tables:
            tables.append(_tone_table(image, alpha, settings))
        colors = len(image.mode.removesuffix("A"))
        return image.point(list(tables[0].tobytes()) * colors + list(range(256)) * (len(image.mode) - colors))

    return step


def _tone_table(image: Image, alpha: Image | None, settings: Settings) -> Image:
    """Return a table of 256 x 1 pixels in mode L: the new value of each level."""
    levels = pillow.frombytes("L", (256, 1), bytes(range(256)))
    table = pillow.blend(pillow.new("L", levels.size), levels, 1 + settings.brightness / 100)
    if settings.contrast == 0:
        return table
    lighter = image.point(list(table.tobytes()) * len(image.mode)) if settings.brightness else image
    counts = lighter.convert("L").histogram(alpha)
    mean = sum(level * count for level, count in enumerate(counts)) / sum(counts)
    return pillow.blend(pillow.new("L", levels.size, int(mean + 0.5)), table, 1 + settings.contrast / 100)


def sharpen(image: Image, settings: Settings) -> Image:
    """Above 0: unsharp mask of radius 2 px, 5 percent per unit, threshold 3. Below 0: Gaussian blur of -value/10 px."""
    if settings.sharpen == 0:
        return image
    if settings.sharpen < 0:
        return _filter_premultiplied(image, GaussianBlur(-settings.sharpen / 10))
    unsharp = UnsharpMask(radius=2, percent=5 * settings.sharpen, threshold=3)
    if not image.mode.endswith("A"):
        return image.filter(unsharp)
    # Colour hidden under full transparency must not affect its neighbours, so put their colour there first.
    alpha = image.getchannel("A")
    around = _filter_premultiplied(image, GaussianBlur(2))
    color = pillow.composite(image, around, alpha.point([0] + [255] * 255))
    result = color.convert(image.mode[:-1]).filter(unsharp)
    result.putalpha(alpha)
    result.info = dict(image.info)
    return result


def _filter_premultiplied(image: Image, kernel: Filter) -> Image:
    premultiplied = {"LA": "La", "RGBA": "RGBa"}.get(image.mode)
    if premultiplied is None:
        return image.filter(kernel)
    return image.convert(premultiplied).filter(kernel).convert(image.mode)


def flatten(image: Image, settings: Settings) -> Image:
    """Put the background colour behind the image if the format has no alpha."""
    if not image.mode.endswith("A") or settings.format == SMALLEST or ENCODERS[settings.format].SUPPORTS_ALPHA:
        return image
    result = pillow.new("RGB", image.size, settings.background)
    result.paste(image.convert("RGB"), mask=image.getchannel("A"))
    if image.mode == "LA" and _is_gray(settings.background):
        result = result.convert("L")
    result.info = dict(image.info)
    return result


def _is_gray(color: str) -> bool:
    return color[1:3] == color[3:5] == color[5:7]


def strip_metadata(image: Image, settings: Settings) -> Image:
    """Empty `info`, except for an orientation that viewers still need. If stripping is off, keep all of it."""
    if not settings.strip_metadata or not image.info:
        return image
    turned = orientation(image.info)
    result = image._new(image.im)  # shares the pixels; `copy` would duplicate them
    result.info = {}
    if turned != 1:
        exif = with_orientation({}, turned)
        assert exif is not None  # this one tag can always be written
        result.info["exif"] = exif
    return result
