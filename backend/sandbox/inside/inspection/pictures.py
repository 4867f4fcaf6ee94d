"""Pictures: what their heads say."""

from __future__ import annotations

from typing import Any

from .facts import Facts, plain, short

_EXIF_ENTRIES = 30


def inspect(name: str) -> Facts:
    """Size in pixels, mode, format, number of frames, EXIF; no pixel is decoded."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    with Image.open(name) as picture:
        facts: Facts = {
            "width": picture.width,
            "height": picture.height,
            "mode": picture.mode,
            "format": picture.format,
            "frames": getattr(picture, "n_frames", 1),
            "read_with": f"import PIL.Image; PIL.Image.open({name!r})",
        }
        if picture.info.get("transparency") is not None:
            facts["transparency"] = True
        if dpi := picture.info.get("dpi"):
            facts["dpi"] = [plain(float(value)) for value in dpi]
        if exif := _exif(picture):
            facts["exif"] = exif
    return facts


def _exif(picture: Any) -> Facts:
    from PIL import ExifTags

    told: Facts = {}
    try:
        exif = picture.getexif()
        parts = (exif, exif.get_ifd(ExifTags.IFD.Exif))
        position = exif.get_ifd(ExifTags.IFD.GPSInfo)
    except Exception as error:  # a camera's mistakes are no reason not to show the picture
        return {"unreadable": short(str(error))}
    for part in parts:
        for tag, value in list(part.items())[:_EXIF_ENTRIES]:
            if tag in ExifTags.TAGS and not isinstance(value, dict | bytes):
                told[ExifTags.TAGS[tag]] = _value(value)
    if position:
        told["GPSInfo"] = {
            ExifTags.GPSTAGS.get(tag, str(tag)): _value(value) for tag, value in position.items()
        }
    for pointer in ("ExifOffset", "MakerNote"):
        told.pop(pointer, None)
    return told


def _value(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_value(part) for part in value[:10]]
    if isinstance(value, int | str):
        return plain(value)
    try:
        return plain(float(value))
    except (TypeError, ValueError, ZeroDivisionError):
        return plain(str(value))
