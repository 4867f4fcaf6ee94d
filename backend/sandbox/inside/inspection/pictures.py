"""Pictures: what their heads say."""

from __future__ import annotations

from .facts import Facts


def inspect(name: str) -> Facts:
    """Size in pixels, mode, format, number of frames; nothing is decoded."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = None
    with Image.open(name) as picture:
        return {
            "width": picture.width,
            "height": picture.height,
            "mode": picture.mode,
            "format": picture.format,
            "frames": getattr(picture, "n_frames", 1),
        }
