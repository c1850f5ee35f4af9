"""The pictures that `make bench` encodes: photos whose JPEG history is gone, and graphics, as 8-bit sRGB pixels."""

import os
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from math import sqrt
from pathlib import Path

from PIL import Image as pillow
from PIL import ImageCms
from PIL.Image import Image, Resampling

from tests.bench import workloads

CORPUS = Path(os.environ.get("PINCH_CORPUS") or Path(__file__).parent.parent / "corpus").resolve()

UNTOUCHED = ("kodak-05.png", "kodak-23.png", "photo-bicycles.png")  # photos that never were a JPEG
REDUCED = (
    *("photo-canyon-6mp.jpg", "photo-chicago-2mp.jpg", "photo-colorado-9mp.jpg", "photo-dragon-5mp.jpg"),
    *("photo-dunes-21mp.jpg", "photo-earth-night-12mp.jpg", "photo-flower-3mp.jpg", "photo-lantern-13mp.jpg"),
    *("photo-moon-9mp.jpg", "photo-nebula-13mp.jpg", "photo-pier-20mp.jpg"),
)
# Of the tests' own corpus, where most of these are missing.
STAND_INS = ("photo-bench-icc-brg-orient5.png", "orient-portrait-8.jpg", "photo-canyon-orient6-gps.jpg")
REDUCED_PIXELS = 1_300_000  # about; by a whole factor, at least 2
LARGE = ("photo-earth-night-12mp.jpg", "photo-nebula-13mp.jpg", "photo-lantern-13mp.jpg")
LARGEST = "photo-dunes-21mp.jpg"


@dataclass
class Picture:
    """Pixels, and the files of them that the stacks read."""

    name: str
    image: Image
    folder: Path  # for temporary files

    @property
    def megapixels(self) -> float:
        return self.image.width * self.image.height / 1e6

    @cached_property
    def raw(self) -> Path:
        """The pixels alone, row by row."""
        path = self.folder / f"{self.name}.raw"
        path.write_bytes(self.image.tobytes())
        return path

    def upload(self, format: str) -> bytes:
        """Return the pixels in a lossless file of another format than this, so that nothing of the file is kept."""
        return self._png if format != "png" else self._webp

    @cached_property
    def _png(self) -> bytes:
        return save(self.image, "PNG", compress_level=1)

    @cached_property
    def _webp(self) -> bytes:
        return save(self.image, "WEBP", lossless=True, quality=0, method=0, exact=True)


def photos(folder: Path, quick: bool) -> list[Picture]:
    """Return the photos that the corpus has, about 1 MP each; a few smaller ones when quick."""
    found = [CORPUS / name for name in (*UNTOUCHED, *REDUCED) if (CORPUS / name).exists()]
    if len(found) < len(STAND_INS):
        found += [CORPUS / name for name in STAND_INS if (CORPUS / name).exists()]
    if quick:
        found = found[:2] + found[-3:-1]
    made = []
    for path in found:
        image = srgb(pillow.open(path)).convert("RGB")
        if path.suffix == ".jpg":
            factor = max(2, round(sqrt(image.width * image.height / REDUCED_PIXELS)))
            image = image.resize((image.width // factor, image.height // factor), Resampling.LANCZOS)
        if quick:
            image.thumbnail((512, 512), Resampling.LANCZOS)
        made.append(Picture(path.stem, image, folder))
    return made


def graphics(folder: Path, quick: bool) -> list[Picture]:
    """Return the graphics and screenshots of the corpus; only those of up to half a megapixel when quick."""
    made = []
    for path in sorted([*CORPUS.glob("graphic-*.png"), *CORPUS.glob("screenshot-*.png")]):
        image = srgb(pillow.open(path))
        colors = image.convert("RGBA")
        opaque = colors.getchannel("A").getextrema() == (255, 255)  # the pipeline drops such alpha before it encodes
        picture = Picture(path.stem, colors.convert("RGB") if opaque else colors, folder)
        picture.image.info = {}
        if not quick or picture.megapixels <= 0.5:
            made.append(picture)
    return made


def large(quick: bool) -> dict[str, bytes]:
    """Return JPEG files of about 12 MP, by name; a mirrored small photo where the corpus has none."""
    found = {name: (CORPUS / name).read_bytes() for name in LARGE if (CORPUS / name).exists()}
    made = found or {"photo-flower-3mp.jpg, mirrored": workloads.photo(12)}
    return dict(list(made.items())[-1:]) if quick else made


def largest() -> bytes:
    """Return a JPEG file of about 21 MP."""
    path = CORPUS / LARGEST
    return path.read_bytes() if path.exists() else workloads.photo(21)


def srgb(image: Image) -> Image:
    """Return the image with its colours converted from its own profile, if it has one."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "RGBA"):
        return image
    converted = ImageCms.profileToProfile(
        image, ImageCms.ImageCmsProfile(BytesIO(profile)), ImageCms.createProfile("sRGB")
    )
    assert converted
    converted.info.pop("icc_profile", None)
    return converted


def save(image: Image, format: str, **options: object) -> bytes:
    """Return what Pillow makes of the image."""
    file = BytesIO()
    image.save(file, format, **options)
    return file.getvalue()
