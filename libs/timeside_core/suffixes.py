"""What names of media files end with."""

_WORDS = """
wav w64 rf64 aif aiff aifc caf au snd flac ape wv ogg oga opus mp3 mp2 m4a m4b aac ac3 eac3 wma amr
mp4 m4v mov 3gp mkv mka webm avi wmv asf ts mts
"""
SUFFIXES = frozenset(f".{word}" for word in _WORDS.split())
"""Files that are taken where a folder is named, in lower case."""
