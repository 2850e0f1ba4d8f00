"""The starter image: a small Linux that Mallee builds by itself in seconds, so that a fresh cloud has something to
launch.

    image = build(cache, out, progress)

See docs/starter-image.md for what the guest does at boot.
"""

from .build import COMMAND_LINE, Part, StarterImage, build
from .packages import BuildError

__all__ = ["COMMAND_LINE", "BuildError", "Part", "StarterImage", "build"]
