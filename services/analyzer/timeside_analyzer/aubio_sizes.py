"""Lengths of frames that aubio takes."""

from typing import Literal, TypeAlias

PowerOfTwo: TypeAlias = Literal[64, 128, 256, 512, 1024, 2048, 4096, 8192, 16384]
"""Samples in a frame: aubio's transform takes powers of two."""
