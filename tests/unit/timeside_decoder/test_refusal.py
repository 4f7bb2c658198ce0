"""FFmpeg opens local files of the listed containers, and never anything that such a file or name points at."""

import io
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import pytest
from av.error import FFmpegError
from tests.support.media import decode

from timeside_core.errors import MediaError
from timeside_decoder.ffmpeg import OPTIONS


class Server(ThreadingHTTPServer):
    """Serves one WAV file at any path, or redirects to it, and writes down what was asked."""

    daemon_threads = True

    def __init__(self, wav: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.wav = wav
        self.requests: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests.append(self.path)
        if self.path == "/redirect":
            self.send_response(302)
            self.send_header("Location", f"{self.server.url}/a.wav")
            self.end_headers()
            return
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{self.server.url}/a.wav\n#EXT-X-ENDLIST\n"
        content = playlist.encode() if self.path.endswith("m3u8") else self.server.wav
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def running(files: Path) -> Iterator[Server]:
    """The server, on loopback."""
    with Server((files / "s16.wav").read_bytes()) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def server(running: Server) -> Server:
    """The server, of which nothing was asked yet."""
    running.requests.clear()
    return running


NAMES = {
    "http": "{url}/a.wav",
    "http redirect": "{url}/redirect",
    "http playlist": "{url}/a.m3u8",
    "cache over http": "cache:{url}/a.wav",
    "async over http": "async:{url}/a.wav",
    "concat": "concat:{wav}|{wav}",
    "concat over http": "concat:{url}/a.wav|{url}/a.wav",
    "subfile": "subfile,,start,0,end,0,,:{wav}",
    "cache": "cache:{wav}",
    "async": "async:{wav}",
    "crypto": "crypto:{wav}",
    "data": "data:audio/wav;base64,UklGRg==",
    "tcp": "tcp://127.0.0.1:{port}",
    "ftp": "ftp://127.0.0.1:{port}/a.wav",
    "rtmp": "rtmp://127.0.0.1:{port}/a",
    "rtsp": "rtsp://127.0.0.1:{port}/a",
    "gopher": "gopher://127.0.0.1:{port}/a",
}
PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{target}\n#EXT-X-ENDLIST\n"
CONTENTS = {
    "playlist of http": PLAYLIST.replace("{target}", "{url}/a.wav"),
    "playlist of a playlist": PLAYLIST.replace("{target}", "{url}/a.m3u8"),
    "playlist of a file": PLAYLIST.replace("{target}", "{wav}"),
    "script of http": "ffconcat version 1.0\nfile '{url}/a.wav'\n",
    "script of a file": "ffconcat version 1.0\nfile '{wav}'\n",
    "session description": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=a\nc=IN IP4 127.0.0.1\nt=0 0\nm=audio {port} RTP/AVP 0\n",
    "asx": '<asx version="3.0"><entry><ref href="{url}/a.wav"/></entry></asx>\n',
    "metadata of ffmpeg": ";FFMETADATA1\ntitle=a\n",
}
SUFFIXES = ("wav", "m3u8", "sdp", "mp4")


def filled(text: str, server: Server, files: Path) -> str:
    """A text with the addresses of the server and of a file."""
    return text.format(url=server.url, port=server.server_port, wav=files / "s16.wav")


def test_without_options_ffmpeg_would_ask(server, files):
    av.open(filled(NAMES["http redirect"], server, files)).close()
    assert server.requests[:2] == ["/redirect", "/a.wav"]
    av.open(filled(NAMES["concat"], server, files)).close()
    av.open("sine", format="lavfi").close()


@pytest.mark.parametrize("name", NAMES)
def test_names_are_refused(server, files, name):
    address = filled(NAMES[name], server, files)
    with pytest.raises(FFmpegError):
        av.open(address, options=OPTIONS)
    with pytest.raises(MediaError):
        decode(address)
    assert server.requests == []


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_contents_are_refused_by_path(server, files, tmp_path, name, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_text(filled(CONTENTS[name], server, files))
    with pytest.raises(FFmpegError):
        av.open(str(path), options=OPTIONS)
    with pytest.raises(MediaError):
        decode(path)
    assert server.requests == []


@pytest.mark.parametrize("name", CONTENTS)
def test_contents_are_refused_as_file_object(server, files, name):
    with pytest.raises(FFmpegError):
        av.open(io.BytesIO(filled(CONTENTS[name], server, files).encode()), options=OPTIONS)
    assert server.requests == []


@pytest.mark.parametrize("name", ["sine", "anullsrc", "amovie={wav}"])
def test_filters_and_devices_are_refused(server, files, name):
    with pytest.raises(FFmpegError):
        av.open(filled(name, server, files), format="lavfi", options=OPTIONS)


def test_either_option_refuses_by_itself(server, files):
    protocols = {"protocol_whitelist": OPTIONS["protocol_whitelist"]}
    with pytest.raises(FFmpegError):
        av.open(filled(NAMES["http"], server, files), options=protocols)
    containers = {"format_whitelist": OPTIONS["format_whitelist"]}
    with pytest.raises(FFmpegError):
        av.open(io.BytesIO(filled(CONTENTS["playlist of a file"], server, files).encode()), options=containers)
    assert server.requests == []


def test_what_is_listed_opens_by_path_and_as_file_object(files):
    for path in sorted(files.iterdir()):
        if path.name != "film.flv":
            av.open(str(path), options=OPTIONS).close()
            av.open(io.BytesIO(path.read_bytes()), options=OPTIONS).close()
