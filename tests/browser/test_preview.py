"""The picture that the page makes by itself while a slider moves, against the one that the server makes."""

import base64
from io import BytesIO
from math import inf, log10
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageStat

from optimizer.imaging.pipeline import optimize
from optimizer.settings import PROPERTIES, Settings
from tests.browser.visit import CORPUS, PHOTO, Visit

SIZE = (600, 400)
PHOTOS = [PHOTO, "photo-flower-3mp.jpg", "orient-portrait-8.jpg"]
MOVES = [
    {"brightness": -70},
    {"brightness": -30},
    {"brightness": 30},
    {"brightness": 70},
    {"contrast": -70},
    {"contrast": -30},
    {"contrast": 30},
    {"contrast": 70},
    {"sharpen": -60},
    {"sharpen": -20},
    {"sharpen": 20},
    {"sharpen": 60},
    {"brightness": 30, "contrast": 30, "sharpen": 20},
]
LEAST_DECIBELS = 40

SHOW = """async ([text, settings]) => {
    const { Preview } = await import('/js/preview.js');
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const canvas = document.createElement('canvas');
    document.body.replaceChildren(canvas);
    document.body.style.margin = 0;
    Object.assign(canvas.style, { display: 'block', position: 'absolute', inset: 0 });
    const preview = new Preview(canvas);
    await preview.open(new File([bytes], 'photo.png'));
    preview.show(settings);
}"""


@pytest.mark.parametrize("photo", PHOTOS)
@pytest.mark.parametrize("moved", MOVES, ids=str)
def test_the_preview_is_what_the_server_makes(visit: Visit, photo: str, moved: dict[str, int]) -> None:
    source = crop(photo)
    settings: dict[str, Any] = schema_defaults() | moved | {"format": "png", "lossless": True}

    shown = preview_pixels(visit, source, settings)

    made = Image.open(BytesIO(optimize(source, Settings.parse(settings)).data)).convert("RGB")
    assert decibels(shown, made) >= LEAST_DECIBELS


def preview_pixels(visit: Visit, photo: bytes, settings: dict[str, Any]) -> Image.Image:
    """Return what is on the screen while the picture has these settings and the server was not asked."""
    visit.page.evaluate(SHOW, [base64.b64encode(photo).decode(), settings])
    width, height = SIZE
    screen = visit.page.screenshot(clip={"x": 0, "y": 0, "width": width, "height": height})
    return Image.open(BytesIO(screen)).convert("RGB")


def crop(photo: str) -> bytes:
    """Return the middle of the photo as a PNG."""
    with Image.open(CORPUS / photo) as image:
        left, top = (image.width - SIZE[0]) // 2, (image.height - SIZE[1]) // 2
        file = BytesIO()
        image.crop((left, top, left + SIZE[0], top + SIZE[1])).save(file, "PNG", icc_profile=None, exif=b"")
    return file.getvalue()


def schema_defaults() -> dict[str, Any]:
    return {name: schema["default"] for name, schema in PROPERTIES.items()}


def decibels(one: Image.Image, other: Image.Image) -> float:
    """Return the peak signal-to-noise ratio of two pictures of one size."""
    squares = ImageStat.Stat(ImageChops.difference(one, other)).sum2
    error = sum(squares) / (3 * one.width * one.height)
    return 10 * log10(255**2 / error) if error else inf


ESTIMATE = """async ([text, format, settings]) => {
    const { Estimator } = await import('/js/estimator.js');
    const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
    const file = new File([bytes], 'photo', { type: 'image/jpeg' });
    const estimator = new Estimator();
    const outdated = estimator.estimate(file, format, { ...settings, quality: 10 });
    const estimate = await estimator.estimate(file, format, settings);
    return [(await outdated)?.bytes, estimate?.bytes];
}"""


@pytest.mark.parametrize("quality", [40, 75, 90])
@pytest.mark.parametrize("format", ["jpeg", "webp"])
def test_the_estimate_is_about_what_the_server_makes(visit: Visit, format: str, quality: int) -> None:
    source = (CORPUS / "photo-flower-3mp.jpg").read_bytes()
    settings = schema_defaults() | {"format": format, "quality": quality}

    estimates = visit.page.evaluate(ESTIMATE, [base64.b64encode(source).decode(), format, settings])

    made = optimize(source, Settings.parse(settings)).data
    assert estimates == [None, pytest.approx(len(made), rel=0.1)]
