"""Where decoded frames lie in time: finds what is missing between them by their timestamps."""

from timeside_decoder.reader import Damage

_BARE = frozenset({"mp3", "aac", "ac3", "amr"})
"""Containers that are nothing but frames: timestamps are counted, a damaged stretch counts as one frame."""
_CLOCKED = frozenset({"matroska", "mov", "mpegts", "asf", "avi", "alsa", "pulse"})
"""Containers and devices whose timestamps may come from a clock, not from a count of samples, and jitter."""
_JITTER_S = 0.1
"""Jumps up to it are no gaps in such containers, unless something was found damaged shortly before."""
_SUSPICION_S = 1.0
"""How long after damage the timestamps may take to tell how much is missing."""
_JOINED = frozenset({"mpegts", "ogg", "asf"})
"""Containers whose timestamps start anew where recordings were cut or joined."""
_LONGEST_GAP_S = 10.0
"""Longer jumps in such containers are not lost audio; nor are, in all, jumps beyond the end that the header tells."""


class Timeline:
    """Follows the timestamps of frames, and writes down in `damage` what it finds."""

    def __init__(
        self,
        container: str,
        codec: str,
        *,
        samplerate: int,
        samples: int | None,
        samples_per_tick: float,
        damage: Damage,
    ) -> None:
        self._is_bare = container in _BARE
        self._longest_gap = _LONGEST_GAP_S * samplerate if container in _JOINED else float("inf")
        jitter = _JITTER_S * samplerate
        self._shortest_gap = jitter if container in _CLOCKED or codec == "vorbis" else 0.0
        self._shortest_gap_near_damage = jitter if codec == "vorbis" else 0.0  # FFmpeg is half a block off at times
        self._suspicion = _SUSPICION_S * samplerate
        self._most_samples = float("inf") if samples is None else samples + jitter
        self._samples_per_tick = samples_per_tick
        self._damage = damage
        self._start: float | None = None
        self._expected: float | None = None
        """Timestamp of the next frame where nothing is missing, in ticks."""
        self._suspect_samples = 0.0
        """Samples still to come that are near to damage."""
        self._frames = 0
        self._lost_frames = 0.0
        """Frames that would fit into the bytes lost since the last good frame, in bare containers."""

    def note_damage(self, lost_bytes: int = 0, bytes_before: int = 0) -> None:
        """Take note of a damaged packet; the numbers are those of one that could not be decoded at all."""
        self._damage.packets += 1
        self._suspect_samples = self._suspicion
        if self._is_bare and self._frames and bytes_before:
            self._lost_frames += lost_bytes * self._frames / bytes_before

    def missing_before(self, pts: float | None, samples: int) -> int:
        """Samples missing before the next frame, which has that timestamp and length."""
        self._frames += 1
        missing = 0
        if pts is None:
            pts = self._expected
        elif self._expected is not None:
            jump = (pts - self._expected) * self._samples_per_tick
            if jump > 1 or self._lost_frames:
                missing = self._gap(jump, samples, pts)
        if self._start is None:
            self._start = pts
        self._suspect_samples -= samples
        self._expected = None if pts is None else pts + samples / self._samples_per_tick
        return missing

    def _gap(self, jump: float, samples: int, pts: float) -> int:
        slack = 2 * max(self._samples_per_tick, 1.0)
        jump, self._lost_frames = max(jump, round(self._lost_frames) * samples), 0.0
        shortest = self._shortest_gap_near_damage if self._suspect_samples > 0 else self._shortest_gap
        if jump <= max(slack, samples / 2, shortest):
            return 0
        if jump > self._longest_gap or (pts - (self._start or 0)) * self._samples_per_tick > self._most_samples:
            self._damage.unplaced_jumps += 1
            return 0
        in_frames = round(jump / samples) * samples  # whole frames are lost; coarse timestamps would blur that
        missing = in_frames if abs(jump - in_frames) <= slack else round(jump)
        self._damage.silenced_samples += missing
        return missing
