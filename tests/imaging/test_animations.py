"""Animated WebP that stays WebP: every frame goes the way of a picture, and nothing of the time changes."""

import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.WebPImagePlugin import WebPImageFile

from optimizer.imaging import pipeline, steps
from optimizer.imaging.containers import read_webp_animation
from optimizer.imaging.decode import Source, open_source
from optimizer.imaging.encoders import ENCODERS, webp
from optimizer.imaging.pipeline import PIPELINE, Result, optimize
from optimizer.limits import MAX_ANIMATION_PIXELS
from optimizer.problems import DamagedImage, ResultTooLarge, TooManyPixels
from optimizer.settings import Settings
from tests.images import (
    animation,
    delta_e,
    displayed_image,
    encoded,
    exif_bytes,
    hidden_color,
    in_mode,
    metadata_left,
    noise,
    opened,
    photo,
    pixels,
    played,
    psnr,
    rgb_profile,
    riff,
    smooth,
    stored_orientation,
    webp_chunks,
)

TIMES = [40, 70, 0, 130, 100]


def settings(**choice: Any) -> Settings:
    return Settings.parse(choice)


def codes(result: Result) -> list[str]:
    return [warning.code for warning in result.warnings]


def film(image: Image.Image | None = None, **options: Any) -> bytes:
    """Return an animated WebP of five frames, exact and without effort, so that ours is smaller."""
    return animation("webp", 5, image, **({"duration": TIMES, "lossless": True, "method": 0} | options))


def moving(frames: int = 6, width: int = 64, height: int = 48) -> list[Image.Image]:
    """Return pictures with a white square that grows from frame to frame, and a lower half that stands still."""
    pictures = []
    for index in range(frames):
        pictures.append(photo(width, height))
        pictures[-1].paste("white", (0, 0, index * width // frames + 1, height // 2))
    return pictures


def joined(pictures: list[Image.Image], **options: Any) -> bytes:
    return encoded(pictures[0], "webp", save_all=True, append_images=pictures[1:], **({"duration": 50} | options))


def with_times(data: bytes, *times: int) -> bytes:
    """Return the animation with other times in its frames' headers."""
    chunks = webp_chunks(data)
    remaining = list(times)
    for at, (kind, content) in enumerate(chunks):
        if kind == b"ANMF":
            chunks[at] = kind, content[:12] + remaining.pop(0).to_bytes(3, "little") + content[15:]
    return riff(*chunks)


# --- what is played ---


@pytest.mark.parametrize("choice", [{}, {"format": "webp"}, {"lossless": True}, {"quality": 30, "width": 20}], ids=repr)
def test_frames_times_loop_and_background_stay(choice: dict[str, Any]) -> None:
    data = film(photo(64, 48), loop=3, background=(1, 2, 3, 4))

    result = optimize(data, settings(**choice))

    after = opened(result.data)
    assert (result.kept_original, codes(result)) == (False, [])
    assert (result.format, (result.width, result.height)) == ("webp", after.size)
    assert [milliseconds for _, milliseconds in played(result.data)] == TIMES
    assert (after.info["loop"], after.info["background"]) == (3, (1, 2, 3, 4))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_lossy_animation_shows_what_its_source_did(mode: str) -> None:
    data = film(in_mode(mode, photo(64, 48)))

    result = optimize(data, settings())

    assert len(result.data) < len(data)
    assert result.quality == 85
    for (before, _), (after, _) in zip(played(data), played(result.data), strict=True):
        assert psnr(displayed_image(after), displayed_image(before)) > 30
        assert abs(pixels(after.convert("RGBA")) - pixels(before.convert("RGBA")))[..., 3].mean() < 2


@pytest.mark.parametrize(
    "image", [photo(64, 48), noise(), in_mode("RGBA"), hidden_color()], ids=["photo", "noise", "alpha", "hidden"]
)
def test_a_lossless_animation_keeps_every_visible_pixel(image: Image.Image) -> None:
    data = film(image)

    result = optimize(data, settings(lossless=True, strip_metadata=False))

    assert result.quality is None
    for (before, _), (after, _) in zip(played(data), played(result.data), strict=True):
        assert (displayed_image(after) == displayed_image(before)).all()
        assert after.convert("RGBA").getchannel("A").tobytes() == before.convert("RGBA").getchannel("A").tobytes()


def test_opaque_frames_stand_between_transparent_ones() -> None:
    data = joined([smooth().convert("RGBA"), in_mode("RGBA"), noise().convert("RGBA"), in_mode("RGBA")], lossless=True)

    result = optimize(data, settings(lossless=True, brightness=-20))

    alphas = [frame.convert("RGBA").getchannel("A").tobytes() for frame, _ in played(result.data)]
    assert alphas == [frame.convert("RGBA").getchannel("A").tobytes() for frame, _ in played(data)]


@pytest.mark.parametrize(
    "choice",
    [
        {"brightness": 30},
        {"sharpen": 60},
        {"sharpen": -30},
        {"contrast": 40},
        {"brightness": 20, "contrast": -30},
        {"resize_percent": 50},
        {"width": 20, "brightness": -10, "sharpen": 20},
    ],
    ids=repr,
)
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_each_frame_is_what_the_steps_make_of_it(mode: str, choice: dict[str, Any]) -> None:
    data = film(in_mode(mode, photo(64, 48)))
    chosen = settings(format="webp", lossless=True, **choice)
    tone = steps.steady_tone()

    result = optimize(data, chosen)

    assert not result.kept_original
    for (before, _), (after, _) in zip(played(data), played(result.data), strict=True):
        expected = before
        for step in PIPELINE:
            expected = (tone if step is steps.tone else step)(expected, chosen)
        assert (displayed_image(after) == displayed_image(expected)).all()
        assert after.size != before.size or (displayed_image(after) != displayed_image(before)).any()


@pytest.mark.parametrize("value", [-60, 40])
def test_contrast_does_not_flicker(value: int) -> None:
    data = joined(moving(), lossless=True)

    result = optimize(data, settings(contrast=value, lossless=True))

    lower = [pixels(frame.convert("RGB"))[24:] for frame, _ in played(result.data)]
    assert (lower[0] == pixels(steps.tone(moving()[0], settings(contrast=value)))[24:]).all()
    assert all((each == lower[0]).all() for each in lower)


def test_contrast_waits_for_a_frame_that_shows_something() -> None:
    data = joined([Image.new("RGBA", (64, 48)), in_mode("RGBA"), in_mode("RGBA", noise())], lossless=True)
    chosen = settings(contrast=40, lossless=True)

    result = optimize(data, chosen)

    second, _ = played(result.data)[1]
    expected = steps.tone(played(data)[1][0], chosen)
    assert (displayed_image(second) == displayed_image(expected)).all()


def test_frames_that_look_the_same_are_joined_and_take_as_long() -> None:
    first, second, third = noise(seed=1), noise(seed=2), noise(seed=3)
    data = with_times(joined([first, second, third, second], lossless=True), 40, 50, 60, 70)
    head, loop, one, two, three, _ = webp_chunks(data)

    result = optimize(riff(head, loop, one, two, two, three), settings(quality=50))

    assert [milliseconds for _, milliseconds in played(result.data)] == [40, 100, 60]


def test_frames_that_are_all_the_same_become_one_picture() -> None:
    head, loop, frame, *_ = webp_chunks(film(photo(64, 48)))

    result = optimize(riff(head, loop, frame, frame, frame), settings(quality=50))

    assert getattr(opened(result.data), "n_frames", 1) == 1
    assert psnr(displayed_image(opened(result.data)), pixels(photo(64, 48))) > 30


# --- what is carried ---

CARRIED = {"exif": exif_bytes(gps=True, Artist="somebody"), "xmp": b"<x>secret</x>", "icc_profile": rgb_profile(1.4)}


def test_metadata_of_an_animation_is_stripped_and_its_colours_converted() -> None:
    data = film(photo(64, 48), **CARRIED)

    result = optimize(data, settings(lossless=True))

    assert not result.kept_original
    assert metadata_left(result.data) == []
    assert result.metadata_removed == ["exif", "gps", "xmp", "icc"]
    assert codes(result) == ["profile_converted"]
    for (before, _), (after, _) in zip(played(data), played(result.data), strict=True):
        before.info["icc_profile"] = CARRIED["icc_profile"]
        assert delta_e(displayed_image(after), displayed_image(before)) < 1


@pytest.mark.parametrize("brightness", [0, 10])
def test_metadata_of_an_animation_is_kept_when_asked(brightness: int) -> None:
    data = film(photo(64, 48), **{**CARRIED, "exif": CARRIED["exif"][6:]})

    result = optimize(data, settings(strip_metadata=False, brightness=brightness))

    before, after = opened(data), opened(result.data)
    assert not result.kept_original
    assert {key: after.info[key] for key in CARRIED} == {key: before.info[key] for key in CARRIED}
    assert result.metadata_removed == []
    assert len(played(result.data)) == 5


@pytest.mark.parametrize("strip", [True, False])
def test_every_frame_is_turned_upright(strip: bool) -> None:
    data = film(photo(64, 48), exif=exif_bytes(6, Artist="somebody")[6:])

    result = optimize(data, settings(lossless=True, strip_metadata=strip))

    assert (result.width, result.height) == (48, 64)
    assert stored_orientation(opened(result.data)) == 1
    for (before, _), (after, _) in zip(played(data), played(result.data), strict=True):
        assert (pixels(after.convert("RGB")) == np.rot90(pixels(before.convert("RGB")), -1)).all()


def test_an_animation_that_stays_on_its_side_keeps_its_tag() -> None:
    data = film(photo(64, 48), exif=exif_bytes(6, Artist="somebody")[6:])

    result = optimize(data, settings(auto_orient=False))

    assert (result.width, result.height) == (64, 48)
    assert set(opened(result.data).getexif().items()) == {(0x0112, 6)}


def test_long_exif_is_handed_over_with_the_first_frame_only() -> None:
    source = open_source(film(exif=exif_bytes(6, Artist="somebody")[6:], icc_profile=rgb_profile()))

    first, *others = [frame.info for frame, _ in source.load_frames()]

    assert first == source.info
    assert [set(info) for info in others] == [{"exif", "icc_profile"}] * 4
    assert {info["exif"] for info in others} == {exif_bytes(6)}


def test_the_background_of_the_specification_is_read_as_it_is_stored() -> None:
    assert read_webp_animation(film(loop=7, background=(1, 2, 3, 4))) == (0x04010203, 7)


# --- what is kept and what grows ---


@pytest.mark.parametrize("strip", [True, False])
def test_an_animation_that_would_grow_is_kept(strip: bool) -> None:
    data = film(noise(), lossless=False, quality=1, exif=CARRIED["exif"][6:])

    result = optimize(data, settings(quality=100, strip_metadata=strip))

    assert (result.kept_original, result.quality, codes(result)) == (True, None, [])
    assert (metadata_left(result.data) == []) == strip
    assert (result.data == data) != strip
    for (before, time_before), (after, time_after) in zip(played(data), played(result.data), strict=True):
        assert after.tobytes() == before.tobytes()
        assert time_after == time_before


@pytest.mark.parametrize("choice", [{"brightness": 1}, {"contrast": 1}, {"sharpen": 1}, {"width": 63}], ids=repr)
def test_an_animation_that_looks_otherwise_is_not_kept(choice: dict[str, Any]) -> None:
    result = optimize(film(noise(), lossless=False, quality=1), settings(quality=100, **choice))

    assert (result.kept_original, result.quality) == (False, 100)


@pytest.mark.parametrize(
    "options", [{"exif": exif_bytes(6)[6:]}, {"icc_profile": rgb_profile(1.4)}], ids=["turned", "converted"]
)
def test_an_animation_is_encoded_once_even_if_it_grows(
    options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    data = film(noise(), lossless=False, quality=1, **options)
    encode = webp.encode_animation
    calls: list[Settings] = []

    def counted(*arguments: Any) -> tuple[bytes, float | None]:
        calls.append(arguments[-1])
        return encode(*arguments)

    monkeypatch.setattr(webp, "encode_animation", counted)

    result = optimize(data, settings(quality=90))

    assert len(calls) == 1
    assert len(result.data) > len(data)
    assert (result.quality, result.kept_original) == (90, False)


@pytest.mark.parametrize("choice", [{}, {"lossless": True}, {"quality": 40}], ids=repr)
def test_optimizing_an_animation_again_makes_it_no_larger(choice: dict[str, Any]) -> None:
    once = optimize(film(photo(64, 48)), settings(**choice))

    twice = optimize(once.data, settings(**choice))

    assert len(twice.data) <= len(once.data)
    assert (twice.warnings, twice.metadata_removed) == ([], [])


@pytest.mark.parametrize("lossless", [True, False])
def test_large_animations_get_less_effort(lossless: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    data = film(photo(64, 48))
    chosen = settings(lossless=lossless)
    usual = optimize(data, chosen).data

    monkeypatch.setattr(webp, "LARGE_PIXELS", 64 * 48 * 5)
    assert optimize(data, chosen).data == usual
    monkeypatch.setattr(webp, "LARGE_PIXELS", 64 * 48 * 5 - 1)
    assert len(optimize(data, chosen).data) > len(usual)


# --- what becomes a picture ---


@pytest.mark.parametrize(
    ("format", "target"),
    [("webp", "jpeg"), ("webp", "png"), ("png", "webp"), ("png", "jpeg"), ("png", "png")],
)
def test_any_other_animation_becomes_its_first_frame(format: str, target: str) -> None:
    result = optimize(animation(format, 3, photo(64, 48)), settings(format=target, width=40))

    assert result.format == target
    assert codes(result) == ["animation_reduced"]
    assert getattr(opened(result.data), "n_frames", 1) == 1


# --- what is refused ---


@pytest.mark.parametrize("target", ["original", *ENCODERS])
def test_too_large_an_animation_is_refused_before_it_is_decoded(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """5 frames of 4,000 x 2,001 pixels, of which nobody has drawn more than a corner."""
    head, *others = webp_chunks(film())
    canvas = (3_999).to_bytes(3, "little") + (2_000).to_bytes(3, "little")
    data = riff((b"VP8X", head[1][:4] + canvas), *others)
    assert MAX_ANIMATION_PIXELS == 4_000 * 2_000 * 5
    chosen = settings(format=target, width=100)
    if target in ("jpeg", "png"):
        assert codes(optimize(data, chosen))[0] == "animation_reduced"
        return
    monkeypatch.setattr(Source, "load_frames", lambda _: pytest.fail("decoded"))

    with pytest.raises(TooManyPixels, match=r"40 megapixels for all frames together\. Send a shorter .* JPEG or PNG"):
        optimize(data, chosen)


def test_too_large_a_result_of_all_frames_is_refused_with_the_largest_percent(monkeypatch: pytest.MonkeyPatch) -> None:
    data = film(photo(100, 100))
    monkeypatch.setattr(pipeline, "MAX_ANIMATION_PIXELS", 5 * 100 * 100)
    assert optimize(data, settings()).width == 100
    monkeypatch.setattr(pipeline, "MAX_ANIMATION_PIXELS", 5 * 150 * 150)
    assert optimize(data, settings(resize_percent=150)).width == 150
    monkeypatch.setattr(Source, "load_frames", lambda _: pytest.fail("decoded"))

    with pytest.raises(ResultTooLarge, match=r"Resize to 150 percent at most.*for all frames together"):
        optimize(data, settings(resize_percent=151))


@pytest.mark.parametrize("choice", [{}, {"lossless": True}, {"width": 10}, {"strip_metadata": False}], ids=repr)
@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("broken", [0, 1, 4])
def test_a_damaged_frame_is_refused(broken: int, lossless: bool, choice: dict[str, Any]) -> None:
    head, loop, *frames = webp_chunks(film(noise(), lossless=lossless))
    place, frame = frames[broken][1][:16], frames[broken][1][16:]
    cut = frame[8 : len(frame) // 2]
    frames[broken] = b"ANMF", place + frame[:4] + len(cut).to_bytes(4, "little") + cut + b"\0" * (len(cut) % 2)

    with pytest.raises(DamagedImage, match="damaged or cut off"):
        optimize(riff(head, loop, *frames), settings(**choice))


def test_an_animation_that_is_cut_off_is_refused() -> None:
    data = film(noise())

    for length in (len(data) * 2 // 3, len(data) - 10):
        with pytest.raises(DamagedImage):
            optimize(data[:length], settings())


def test_an_animation_of_more_days_than_can_be_counted_is_refused() -> None:
    head, loop, one, two, *_ = webp_chunks(with_times(film(noise()), *[2**24 - 1] * 5))

    assert len(played(optimize(riff(head, loop, *[one, two] * 64), settings()).data)) == 128
    with pytest.raises(DamagedImage):
        optimize(riff(head, loop, *[one, two] * 65), settings())


def test_frames_can_be_loaded_behind_the_picture_and_again() -> None:
    source = open_source(film())
    source.load()

    once, again = (list(source.load_frames()) for _ in range(2))

    assert [milliseconds for _, milliseconds in once] == TIMES
    assert once == again


def test_running_out_of_memory_is_not_blamed_on_the_animation(monkeypatch: pytest.MonkeyPatch) -> None:
    source = open_source(film())

    def fail(_: Image.Image) -> None:
        raise MemoryError

    monkeypatch.setattr(WebPImageFile, "load", fail)

    with pytest.raises(MemoryError):
        next(source.load_frames())


@pytest.mark.parametrize("choice", [{}, {"brightness": 5, "contrast": 5, "width": 40}], ids=repr)
def test_frames_are_let_go_once_they_are_encoded(choice: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted by what lives, since the peak of a process is that of the process that began it, too."""
    encode = webp.encode_animation
    seen: list[weakref.ref[Image.Image]] = []
    most: list[int] = []

    def watched(frames: Iterator[tuple[Image.Image, int]]) -> Iterator[tuple[Image.Image, int]]:
        for frame, milliseconds in frames:
            seen.append(weakref.ref(frame))
            most.append(len({id(each()) for each in seen if each()}))
            yield frame, milliseconds

    load = Source.load_frames
    monkeypatch.setattr(Source, "load_frames", lambda source: watched(load(source)))
    monkeypatch.setattr(webp, "encode_animation", lambda frames, *others: encode(watched(frames), *others))

    optimize(joined(moving(20)), settings(**choice))

    assert len(most) == 40
    assert max(most) <= 4  # the one before and this one, each before and after the steps
