import importlib.util
import io
import multiprocessing
import os
import pickle
import shutil
import struct
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from medutils.data import images
from medutils.data.dicom import write_film
from medutils.data.images import build_array, read_image
from medutils.errors import InputError


def film(seed: int = 0, width: int = 60, height: int = 40) -> Image.Image:
    """A smooth grey picture in RGB, as a film is."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 6), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC).convert("RGB")


def films(folder: Path, count: int = 5, **size: int) -> list[Path]:
    paths = [folder / f"{number}.png" for number in range(count)]
    for number, path in enumerate(paths):
        film(number, **size).save(path)
    return paths


def deep(path: Path, top: int) -> None:
    """A 16-bit picture that rises from 100 to `top`."""
    Image.fromarray(np.linspace(100, top, 64 * 64).reshape(64, 64).astype(np.uint16)).save(path, format="PNG")


def bomb(path: Path) -> None:
    """A picture that says it has 20,000 x 20,000 pixels, and holds next to none of them."""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(bytes(99))))
    packed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))


def animation(path: Path) -> None:
    film(0).save(path, format="GIF", save_all=True, append_images=[film(1)])


def cut_short(path: Path) -> None:
    film(0, 400, 300).save(path, format="JPEG")
    path.write_bytes(path.read_bytes()[:-2000])


def cut_dicom(path: Path) -> None:
    write_film(path, np.arange(1200, dtype=np.uint16).reshape(30, 40), "MONOCHROME2")
    path.write_bytes(path.read_bytes()[:-400])


def outside_program(path: Path) -> None:
    film(0).save(path, format="EPS")


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "cut_short.jpeg": (cut_short, "damaged image"),
    "text.jpeg": (lambda path: path.write_text("not a film"), "no image in it"),
    "empty.png": (lambda path: path.touch(), "empty file"),
    "animation.png": (animation, "several pictures"),
    "bomb.png": (bomb, "found 400,000,000 pixels"),
    "folder.png": (lambda path: path.mkdir(), "found a folder"),
    "absent.png": (lambda path: None, "no such file"),
    "postscript.png": (outside_program, "no image in it"),
    "not_dicom.dcm": (lambda path: path.write_bytes(bytes(200)), "no image in it"),
    "cut.dcm": (cut_dicom, "damaged or cut off"),
    "not_finite.tif": (lambda path: Image.fromarray(np.full((4, 4), np.inf, np.float32)).save(path), "not finite"),
}


@pytest.fixture(params=BAD)
def bad(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    make, reason = BAD[request.param]
    make(tmp_path / request.param)
    return tmp_path / request.param, reason


def test_a_bad_file_is_refused_in_one_sentence(bad: tuple[Path, str]) -> None:
    path, reason = bad
    with pytest.raises(InputError, match=reason) as caught:
        read_image(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ") and "\n" not in message and message.count(str(path)) == 1


def test_a_bad_file_is_skipped_and_named_or_refused(bad: tuple[Path, str], tmp_path: Path) -> None:
    path, reason = bad
    good = films(tmp_path, 2)
    paths = [good[0], path, good[1]]
    array = build_array(paths, 16, cache=tmp_path / "cache")
    assert array.kept.tolist() == [0, 2] and len(array.pixels) == 2
    [(skipped, why)] = array.skipped
    assert skipped == path and reason in why
    np.testing.assert_array_equal(array.pixels, build_array(good, 16, cache=tmp_path / "cache").pixels)
    with pytest.raises(InputError, match=r"1 of 3 images"):
        build_array(paths, 16, cache=tmp_path / "cache", strict=True)


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 60 * 40 - 1)
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", lambda self: pytest.fail("it was decoded"))
    with pytest.raises(InputError, match="60 x 40 pixels"):
        read_image(films(tmp_path, 1)[0])


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("stored", ["1", "L", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_each_way_of_storing_pixels_is_read(tmp_path: Path, stored: str, mode: images.Mode) -> None:
    grey = film().convert("L")
    path = tmp_path / ("film.tif" if stored in ("CMYK", "F") else "film.png")
    if stored == "I;16":
        Image.fromarray(np.asarray(grey, dtype=np.uint16) * 257).save(path)
    else:
        (grey if stored != "P" else film().quantize(256)).convert(stored).save(path)
    image = read_image(path, mode)
    assert image.mode == mode and image.size == (60, 40)
    expected = np.asarray((grey.convert("1") if stored == "1" else grey).convert(mode), dtype=int)
    low, high = expected.min(), expected.max()
    if stored in ("I;16", "F"):
        expected = (expected - low) * 255 // (high - low)
    np.testing.assert_allclose(np.asarray(image, dtype=int), expected, atol=2)


def test_a_cmyk_jpeg_is_read_as_grey(tmp_path: Path) -> None:
    film().convert("CMYK").save(tmp_path / "film.jpeg", quality=95)
    difference = np.asarray(read_image(tmp_path / "film.jpeg"), float) - np.asarray(film().convert("L"), float)
    assert np.abs(difference).mean() < 2


@pytest.mark.parametrize("top", [4095, 65535])
def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path, top: int) -> None:
    deep(tmp_path / "deep.png", top)
    pixels = np.asarray(read_image(tmp_path / "deep.png"))
    counts = np.bincount(pixels.ravel(), minlength=256)
    assert np.all(np.diff(pixels.ravel().astype(int)) >= 0)
    assert (counts > 0).all() and counts[1:-1].max() - counts[1:-1].min() <= 2  # a straight ramp from 0 to 255


def test_sixteen_bits_of_one_value_are_black(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(tmp_path / "flat.png")
    assert np.asarray(read_image(tmp_path / "flat.png")).max() == 0


def white_is_zero(image: Image.Image, path: Path, compression: str | None) -> None:
    """Write a TIFF file whose values are those of `image`, and whose tag says that 0 is white."""
    image.save(path, format="TIFF", compression=compression)
    content = path.read_bytes()
    black = struct.pack("<HHIHH", 262, 3, 1, 1, 0)
    assert content.count(black) == 1
    path.write_bytes(content.replace(black, struct.pack("<HHIHH", 262, 3, 1, 0, 0)))


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("stored", ["1", "L", "I;16", "F"])
def test_films_stored_with_white_as_zero_are_not_read_inverted(
    tmp_path: Path, stored: str, compression: str | None
) -> None:
    values = np.arange(256).reshape(16, 16)
    kinds = {"1": values > 127, "L": values.astype(np.uint8), "F": values.astype(np.float32)}
    image = Image.fromarray(kinds.get(stored, (values * 257).astype(np.uint16)))
    white_is_zero(image, tmp_path / "film.tif", compression)
    expected = 255 - (values > 127) * 255 if stored == "1" else 255 - values
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "film.tif")), expected)
    image.save(tmp_path / "black.tif", compression=compression)
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "black.tif")), 255 - expected)
    both = build_array([tmp_path / "film.tif", tmp_path / "black.tif"], 16, aspect="squash", cache=tmp_path).pixels
    np.testing.assert_array_equal(both[0], 255 - both[1])


@pytest.mark.parametrize("suffix", ["jpeg", "png", "webp", "tif"])
@pytest.mark.parametrize(
    ("stored", "turn"), [(1, None), (6, Image.Transpose.ROTATE_270), (4, Image.Transpose.FLIP_TOP_BOTTOM)]
)
def test_a_film_stored_turned_is_turned_upright(tmp_path: Path, suffix: str, stored: int, turn: object) -> None:
    exif = Image.Exif()
    exif[0x0112] = stored
    film().save(tmp_path / f"film.{suffix}", exif=exif, quality=95)
    film().save(tmp_path / f"plain.{suffix}", quality=95)
    upright = read_image(tmp_path / f"plain.{suffix}")
    expected = upright if turn is None else upright.transpose(turn)
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / f"film.{suffix}")), np.asarray(expected))


def test_a_damaged_exif_block_is_ignored_without_a_word(tmp_path: Path) -> None:
    film().save(tmp_path / "film.jpeg", exif=b"Exif\x00\x00II*\x00\x08\x00\x00\x00\xff\xff" + bytes(range(200)))
    film().save(tmp_path / "plain.jpeg")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, plain = (np.asarray(read_image(tmp_path / name)) for name in ("film.jpeg", "plain.jpeg"))
    np.testing.assert_array_equal(found, plain)


@pytest.mark.parametrize("name", ["film.dcm", "IM000001", "1.2.840.113.7"])
@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_a_dicom_film_is_read_by_what_it_holds(tmp_path: Path, name: str, kind: str) -> None:
    values = np.linspace(0, 4000, 40 * 60).reshape(40, 60).astype(np.uint16)
    write_film(tmp_path / name, values, kind)
    for mode in ("L", "RGB"):
        image = read_image(tmp_path / name, mode)
        assert image.mode == mode and image.size == (60, 40)
    grey = np.asarray(read_image(tmp_path / name), int)
    assert (grey[0, 0], grey[-1, -1]) == ((255, 0) if kind == "MONOCHROME1" else (0, 255))
    [pixels] = build_array([tmp_path / name], 20, aspect="squash", cache=tmp_path / "cache").pixels
    assert (np.diff(pixels.astype(int).mean(1)) < 0).all() == (kind == "MONOCHROME1")


def test_dicom_of_several_frames_or_in_colour_is_skipped_with_the_reason(tmp_path: Path) -> None:
    write_film(tmp_path / "frames.dcm", np.zeros((3, 8, 8), np.uint16), "MONOCHROME2")
    write_film(tmp_path / "colour.dcm", np.zeros((8, 8, 3), np.uint8), "RGB")
    paths = [*films(tmp_path, 1), tmp_path / "frames.dcm", tmp_path / "colour.dcm"]
    (_, frames), (_, colour) = build_array(paths, 16, cache=tmp_path / "cache").skipped
    assert "holds 3 frames; expected one" in frames and "PhotometricInterpretation is RGB" in colour


@pytest.mark.parametrize("aspect", ["keep", "squash"])
def test_films_that_show_nothing_are_told(tmp_path: Path, aspect: images.Aspect) -> None:
    for name, value in (("white", 255), ("black", 0)):
        Image.new("RGB", (60, 40), (value,) * 3).save(tmp_path / f"{name}.jpeg")
    paths = [tmp_path / "white.jpeg", tmp_path / "absent.png", *films(tmp_path, 1), tmp_path / "black.jpeg"]
    for _ in range(2):  # built, and found again
        array = build_array(paths, 16, aspect=aspect, cache=tmp_path / "cache")
        assert array.blank.tolist() == [0, 3] and array.kept.tolist() == [0, 2, 3]


@pytest.mark.parametrize(("mode", "shape"), [("L", (5, 16, 16)), ("RGB", (5, 16, 16, 3))])
def test_the_array_is_a_read_only_map_of_bytes(tmp_path: Path, mode: images.Mode, shape: tuple[int, ...]) -> None:
    pixels = build_array(films(tmp_path), 16, mode, cache=tmp_path / "cache").pixels
    assert isinstance(pixels, np.memmap) and pixels.dtype == np.uint8 and pixels.shape == shape
    assert not pixels.flags.writeable
    assert len({image.tobytes() for image in pixels}) == 5


@pytest.mark.parametrize(("width", "height"), [(60, 30), (30, 60)])
def test_aspect_is_kept_between_black_borders_or_squashed(tmp_path: Path, width: int, height: int) -> None:
    Image.new("L", (width, height), 200).save(tmp_path / "bright.png")
    [kept] = build_array([tmp_path / "bright.png"], 20, aspect="keep", cache=tmp_path).pixels
    [squashed] = build_array([tmp_path / "bright.png"], 20, aspect="squash", cache=tmp_path).pixels
    assert (squashed == 200).all()
    upright = kept if width > height else kept.T
    assert (upright[5:15] == 200).all() and not upright[:5].any() and not upright[15:].any()


def test_a_picture_too_long_to_leave_a_pixel_is_skipped(tmp_path: Path) -> None:
    Image.new("L", (2000, 1)).save(tmp_path / "line.png")
    [(_, why)] = build_array([*films(tmp_path, 1), tmp_path / "line.png"], 20, cache=tmp_path).skipped
    assert "2000 x 1 pixels" in why


def test_a_large_jpeg_decoded_small_differs_by_less_than_a_grey_level(tmp_path: Path) -> None:
    grain = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 400), dtype=np.uint8))
    grain = grain.resize((1200, 900), Image.Resampling.BICUBIC).convert("RGB")
    Image.blend(film(0, 1200, 900), grain, 0.2).save(tmp_path / "large.jpeg", quality=90)
    whole = read_image(tmp_path / "large.jpeg").resize((96, 96), Image.Resampling.BILINEAR)
    [pixels] = build_array([tmp_path / "large.jpeg"], 96, aspect="squash", cache=tmp_path).pixels
    assert 0 < np.abs(pixels.astype(float) - np.asarray(whole, float)).mean() < 1


def test_processes_give_what_the_thread_gives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [*films(tmp_path, 40), tmp_path / "absent.png"]
    by_thread = build_array(paths, 16, cache=tmp_path / "thread")
    monkeypatch.setattr(images, "PROCESSES_FROM_BYTES", 0)
    monkeypatch.setattr(images, "MAX_PROCESSES", 2)
    by_process = build_array(paths, 16, cache=tmp_path / "process")
    np.testing.assert_array_equal(by_thread.pixels, by_process.pixels)
    assert by_thread.skipped == by_process.skipped


def test_an_array_is_built_once_and_found_by_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = films(tmp_path)
    first = build_array(paths, 16, cache=tmp_path / "cache")
    renamed = [path.rename(path.with_name(f"other-{path.name}")) for path in paths]
    with monkeypatch.context() as patched:
        patched.setattr(images, "_decode", lambda *args, **named: pytest.fail("it was decoded again"))
        again = build_array(renamed, 16, cache=tmp_path / "cache")
    np.testing.assert_array_equal(first.pixels, again.pixels)


def changed_file(paths: list[Path]) -> dict[str, object]:
    modified = paths[0].stat().st_mtime_ns
    film(99).save(paths[0])
    os.utime(paths[0], ns=(modified, modified))
    return {}


@pytest.mark.parametrize(
    "change",
    [
        changed_file,
        lambda paths: {"paths": paths[::-1]},
        lambda paths: {"size": 17},
        lambda paths: {"mode": "RGB"},
        lambda paths: {"aspect": "squash"},
    ],
)
def test_another_content_order_or_parameter_is_another_array(
    tmp_path: Path, change: Callable[[list[Path]], dict]
) -> None:
    asked = {"paths": films(tmp_path), "size": 16, "mode": "L", "aspect": "keep", "cache": tmp_path / "cache"}
    before = np.array(build_array(**asked).pixels)
    after = build_array(**(asked | change(asked["paths"]))).pixels
    assert before.shape != after.shape or (before != after).any()


def saved(array: object) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


DAMAGES: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "cut off": ("pixels.npy", lambda content: content[:300]),
    "empty": ("pixels.npy", lambda content: b""),
    "pickle": ("pixels.npy", lambda content: pickle.dumps("pixels")),
    "header of no array": ("pixels.npy", lambda content: content.replace(b"|u1", b"(((")),
    "other kind of number": ("pixels.npy", lambda content: content.replace(b"|u1", b"|i1")),
    "other shape": ("pixels.npy", lambda content: saved(np.zeros((6, 17, 16), np.uint8))),
    "one pixel": ("pixels.npy", lambda content: content[:-400] + bytes([content[-400] ^ 1]) + content[-399:]),
    "no reasons": ("skipped.json", lambda content: b""),
    "reasons in a list": ("skipped.json", lambda content: b"[1]"),
    "reasons that are a number": ("skipped.json", lambda content: b"7"),
    "reasons too deep": ("skipped.json", lambda content: b"[" * 100_000),
    "another image skipped": ("skipped.json", lambda content: content.replace(b'"5"', b'"2"')),
    "reasons that are no text": ("skipped.json", lambda content: b"\xff"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_array_is_built_again(tmp_path: Path, damage: str) -> None:
    paths = [*films(tmp_path), tmp_path / "absent.png"]
    expected = build_array(paths, 16, cache=tmp_path / "cache")
    pixels = np.array(expected.pixels)
    name, change = DAMAGES[damage]
    [stored] = (tmp_path / "cache").rglob(name)
    content = stored.read_bytes()
    assert change(content) != content
    stored.write_bytes(change(content))
    again = build_array(paths, 16, cache=tmp_path / "cache")
    np.testing.assert_array_equal(again.pixels, pixels)
    assert (again.kept.tolist(), again.skipped) == (expected.kept.tolist(), expected.skipped)


def test_an_array_put_in_the_place_of_another_is_built_again(tmp_path: Path) -> None:
    paths, cache = films(tmp_path), tmp_path / "cache"
    expected = np.array(build_array(paths, 16, cache=cache).pixels)
    [place] = (folder for folder in cache.iterdir() if folder.is_dir())
    build_array(paths[::-1], 16, cache=tmp_path / "other")
    [other] = (folder for folder in (tmp_path / "other").iterdir() if folder.is_dir())
    shutil.rmtree(place)
    shutil.copytree(other, place)
    np.testing.assert_array_equal(build_array(paths, 16, cache=cache).pixels, expected)


@pytest.mark.parametrize(
    ("wrong", "parameter"),
    [({"paths": []}, "paths"), ({"size": 0}, "size"), ({"mode": "grey"}, "mode"), ({"aspect": "crop"}, "aspect")],
)
def test_a_wrong_parameter_is_named(tmp_path: Path, wrong: dict, parameter: str) -> None:
    with pytest.raises(InputError, match=f"^{parameter}: "):
        build_array(**({"paths": films(tmp_path, 1), "size": 16, "cache": tmp_path} | wrong))


def test_no_readable_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.png: no such file.*2 of 2"):
        build_array([tmp_path / "absent.png"] * 2, 16, cache=tmp_path)


def test_a_full_disk_is_one_sentence_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array_header_2_0", full)
    with pytest.raises(InputError, match="no space left"):
        build_array(films(tmp_path), 16, cache=tmp_path / "cache")
    assert not [path for path in (tmp_path / "cache").iterdir() if path.suffix != ".lock"]


def build_noting_each(paths: list[Path], cache: Path, notes: Path, dies: bool) -> None:
    """Build in a process of its own, noting each image that is decoded; one that dies does so at the fourth."""
    decode = images._decode

    def noted(path: Path, *args: object, **named: object) -> Image.Image:
        with notes.open("a") as file:
            file.write(f"{path.name}\n")
        if dies and path == paths[3]:
            os._exit(9)
        return decode(path, *args, **named)

    images._decode = noted
    images.BATCH = 1
    build_array(paths, 16, cache=cache)


def run(*dies: bool, **given: object) -> list[int | None]:
    """Build in as many processes at once; `dies` says which of them die."""
    fork = multiprocessing.get_context("fork")
    started = [fork.Process(target=build_noting_each, kwargs={**given, "dies": one}) for one in dies]
    for process in started:
        process.start()
    for process in started:
        process.join(30)
    return [process.exitcode for process in started]


def test_two_processes_at_once_build_one_array(tmp_path: Path) -> None:
    paths = films(tmp_path, 30, width=300, height=200)
    assert run(False, False, paths=paths, cache=tmp_path / "cache", notes=tmp_path / "notes") == [0, 0]
    assert sorted((tmp_path / "notes").read_text().split()) == sorted(path.name for path in paths)


def test_a_build_that_is_killed_leaves_nothing_that_counts(tmp_path: Path) -> None:
    paths, cache = films(tmp_path, 6), tmp_path / "cache"
    assert run(True, paths=paths, cache=cache, notes=tmp_path / "notes") == [9]
    assert list(cache.glob(".*.part"))
    array = build_array(paths, 16, cache=cache)
    np.testing.assert_array_equal(array.pixels, build_array(paths, 16, cache=tmp_path / "other").pixels)
    assert not list(cache.glob(".*.part"))


def test_a_process_that_is_killed_does_not_stop_the_one_that_waits(tmp_path: Path) -> None:
    paths, cache = films(tmp_path, 30, width=300, height=200), tmp_path / "cache"
    died, built = run(True, False, paths=paths, cache=cache, notes=tmp_path / "notes")
    assert died in (9, 0) and built == 0  # the one that dies may have found the array built
    array = build_array(paths, 16, cache=cache)
    np.testing.assert_array_equal(array.pixels, build_array(paths, 16, cache=tmp_path / "other").pixels)
    assert not list(cache.glob(".*.part"))


def bench() -> ModuleType:
    spec = importlib.util.spec_from_file_location("bench_images", Path(__file__).parents[2] / "bench" / "images.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_bench_gives_its_ratios_without_real_data(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = bench()
    monkeypatch.setattr(module, "DRAWN", 100)
    monkeypatch.setattr(module, "ROUNDS", 1)
    rounds = module.main()
    # A few milliseconds: how fast is for the real films.
    assert rounds.ratios(module.ONE_BY_ONE, "reading an epoch from it")[0] > 1
    assert "100 drawn films" in capsys.readouterr().out


@pytest.mark.real
def test_real_films_are_read_from_the_array_twenty_times_as_fast(capsys: pytest.CaptureFixture[str]) -> None:
    module = bench()
    rounds = module.main()
    assert "5840 real films" in capsys.readouterr().out
    assert np.median(rounds.ratios(module.ONE_BY_ONE, "reading an epoch from it")) >= 20
