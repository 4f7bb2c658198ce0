"""A real Apache Kafka broker (KRaft, one node) from its Maven jars, for tests, chaos runs and the conveyor.

    with running() as broker:
        ...  # broker.bootstrap is "127.0.0.1:…"
        broker.kill()
        broker.restart()  # same ports, same data

    with running(guarded=True) as broker:
        ...  # besides, broker.guarded has listeners with TLS, by password and by certificate, and ACLs

Needs Java 17 and, once, Maven. The jars lie in `$TIMESIDE_CACHE` (default `~/.cache/timeside`), one folder per pom.
A broker dies with the process that started it, however that ends.
"""

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from base64 import urlsafe_b64encode
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trustme
from cryptography.hazmat.primitives import serialization

POM = Path(__file__).parents[1] / "kafka" / "pom.xml"
START_LIMIT_S = 90.0
"""A cold, busy machine takes 20 s."""
STOP_LIMIT_S = 30.0
"""A broker that is asked to stop hands over and syncs first."""
STARTED = b"Kafka Server started"

_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="kafka")
"""The kernel ends a child with the *thread* that started it: this one lives as long as the process."""

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=CONTROLLER://127.0.0.1:{controller_port},{listeners}
advertised.listeners={listeners}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL
log.dirs={folder}/data
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
broker.session.timeout.ms=6000
broker.heartbeat.interval.ms=500
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
"""

GUARDED_PROPERTIES = """\
ssl.keystore.type=PEM
ssl.keystore.location={folder}/broker.pem
ssl.truststore.type=PEM
ssl.truststore.location={folder}/ca.pem
listener.name.ssl.ssl.client.auth=required
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
sasl.enabled.mechanisms=SCRAM-SHA-512,SCRAM-SHA-256,PLAIN
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\
  user_{username}="{password}";
"""

LOG4J = """\
status=error
appender.file.type=File
appender.file.name=file
appender.file.fileName={folder}/log/server.log
appender.file.layout.type=PatternLayout
appender.file.layout.pattern=%d %p %m (%c)%n
rootLogger.level=info
rootLogger.appenderRef.file.ref=file
"""


class BrokerError(Exception):
    """The broker cannot be had, or did not start."""


@dataclass(frozen=True)
class Guarded:
    """Listeners of a broker that do not let everybody in, and what lets one in."""

    folder: Path
    password_port: int
    certificate_port: int
    username: str = "timeside"
    password: str = "correct = horse"

    @property
    def by_password(self) -> tuple[str, dict[str, str]]:
        """Address of the listener that asks for a password, and settings that it accepts."""
        return f"127.0.0.1:{self.password_port}", {
            "KAFKA_TLS": "true",
            "KAFKA_CA": str(self.folder / "ca.pem"),
            "KAFKA_USERNAME": self.username,
            "KAFKA_PASSWORD": self.password,
        }

    @property
    def by_certificate(self) -> tuple[str, dict[str, str]]:
        """Address of the listener that asks for a certificate, and settings that it accepts."""
        return f"127.0.0.1:{self.certificate_port}", {
            "KAFKA_TLS": "true",
            "KAFKA_CA": str(self.folder / "ca.pem"),
            "KAFKA_CERTIFICATE": str(self.folder / "client.crt"),
            "KAFKA_KEY": str(self.folder / "client.key"),
        }

    @property
    def other_ca(self) -> str:
        """File of an authority that did not vouch for the broker."""
        return str(self.folder / "other.pem")

    @property
    def listeners(self) -> list[str]:
        """As the broker names them."""
        return [f"SASL_SSL://127.0.0.1:{self.password_port}", f"SSL://127.0.0.1:{self.certificate_port}"]

    @property
    def users(self) -> list[str]:
        """Arguments that make the user when the storage is formatted."""
        login = f"[name={self.username},password={self.password}]"
        return [word for kind in ("512", "256") for word in ("--add-scram", f"SCRAM-SHA-{kind}={login}")]

    def write(self) -> None:
        """Write all certificates."""
        ca = trustme.CA()
        ca.cert_pem.write_to_path(self.folder / "ca.pem")
        trustme.CA().cert_pem.write_to_path(self.folder / "other.pem")
        client = ca.issue_cert(f"{self.username}@localhost")
        client.private_key_pem.write_to_path(self.folder / "client.key")
        client.cert_chain_pems[0].write_to_path(self.folder / "client.crt")
        broker = ca.issue_cert("127.0.0.1")
        key = serialization.load_pem_private_key(broker.private_key_pem.bytes(), None).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )  # the one form that Kafka reads
        (self.folder / "broker.pem").write_bytes(key + broker.cert_chain_pems[0].bytes())


@dataclass
class Broker:
    """A broker in a folder of its own: `data`, `log`, its properties."""

    folder: Path
    port: int
    controller_port: int
    guarded: Guarded | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def bootstrap(self) -> str:
        """Address that clients are given."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start on the data that is there; return once it answers."""
        log = self.folder / "log" / "server.log"
        log.touch()
        size = log.stat().st_size
        self.process = _java("kafka.Kafka", self.folder / "server.properties", folder=self.folder)
        deadline = time.monotonic() + START_LIMIT_S
        while STARTED not in log.read_bytes()[size:]:
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise BrokerError(f"Kafka did not start within {START_LIMIT_S:g} s: see {self.folder / 'log'}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it in good order, by force where that takes too long."""
        self.thaw()
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def freeze(self) -> None:
        """Let it hang: connections stay open, nothing answers; `thaw` wakes it."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Wake a frozen broker."""
        self._signal(signal.SIGCONT)

    def restart(self) -> None:
        """Start again after `stop` or `kill`: same ports, same data."""
        self.stop()
        self.start()

    def _signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self.process is None:
            return
        self._signal(number)
        try:
            self.process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None


def start(folder: Path | None = None, *, guarded: bool = False) -> Broker:
    """A fresh broker on free loopback ports, in a folder that must be empty (by default a temporary one)."""
    folder = Path(tempfile.mkdtemp(prefix="timeside-kafka-")) if folder is None else folder
    (folder / "log").mkdir(parents=True)
    port, controller_port, *more = _free_ports(4 if guarded else 2)
    broker = Broker(folder, port, controller_port, Guarded(folder, *more) if guarded else None)
    _write_files(broker)
    cluster = urlsafe_b64encode(b"T" + os.urandom(15)).decode().rstrip("=")  # an id must not look like an option
    arguments = ("format", "-t", cluster, "-c", folder / "server.properties")
    users = broker.guarded.users if broker.guarded else []
    if _java("kafka.tools.StorageTool", *arguments, *users, folder=folder).wait(START_LIMIT_S):
        raise BrokerError(f"Kafka's storage could not be formatted: see {folder / 'log'}")
    broker.start()
    if broker.guarded:
        _allow(broker)
    return broker


def _allow(broker: Broker) -> None:
    """Let everybody who gets in use topics and groups of ours, and no others."""
    ours = ("--topic", "ts.", "--group", "ts.", "--resource-pattern-type", "prefixed", "--operation", "All")
    arguments = ("--bootstrap-server", broker.bootstrap, "--add", "--allow-principal", "User:*", *ours)
    if _java("org.apache.kafka.tools.AclCommand", *arguments, folder=broker.folder).wait(START_LIMIT_S):
        broker.stop()
        raise BrokerError(f"Kafka's ACLs could not be set: see {broker.folder / 'log'}")


def _write_files(broker: Broker) -> None:
    folder, guarded, listeners = broker.folder, broker.guarded, [f"PLAINTEXT://{broker.bootstrap}"]
    more = ""
    if guarded is not None:
        guarded.write()
        listeners += guarded.listeners
        more = GUARDED_PROPERTIES.format(folder=folder, username=guarded.username, password=guarded.password)
    properties = PROPERTIES.format(folder=folder, controller_port=broker.controller_port, listeners=",".join(listeners))
    (folder / "server.properties").write_text(properties + more)
    (folder / "log4j2.properties").write_text(LOG4J.format(folder=folder))


@contextmanager
def running(folder: Path | None = None, *, guarded: bool = False) -> Generator[Broker]:
    """A fresh broker, stopped and, where its folder is a temporary one, removed afterwards."""
    broker = start(folder, guarded=guarded)
    try:
        yield broker
    finally:
        broker.stop()
        if folder is None:
            shutil.rmtree(broker.folder, ignore_errors=True)


def jars() -> Path:
    """Folder of the jars; Maven copies them there the first time."""
    cache = Path(os.environ.get("TIMESIDE_CACHE") or Path.home() / ".cache" / "timeside")
    folder = cache / "kafka" / hashlib.sha256(POM.read_bytes()).hexdigest()[:16]
    if folder.exists():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=folder.parent))
    command = [_tool("mvn"), "-q", "-B", "-f", POM, "dependency:copy-dependencies", f"-DoutputDirectory={fresh}"]
    copied = subprocess.run(command, capture_output=True, text=True, check=False)
    if copied.returncode:
        shutil.rmtree(fresh)
        raise BrokerError(f"Maven could not copy Kafka's jars: {copied.stdout.strip()[-2000:]}")
    try:
        fresh.rename(folder)
    except OSError:  # someone else was faster
        shutil.rmtree(fresh)
    return folder


def _java(main: str, *arguments: str | Path, folder: Path) -> subprocess.Popen[bytes]:
    """A JVM in a session of its own, so that Ctrl-C does not reach it before those it serves, that dies with us."""
    command = [
        *(_tool("setpriv"), "--pdeathsig", "KILL"),
        *(_tool("java"), "-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
        f"-Dlog4j2.configurationFile={folder / 'log4j2.properties'}",
        *("-cp", f"{jars()}/*", main, *arguments),
    ]
    with (folder / "log" / "console.log").open("ab") as console:
        spawned = _spawner.submit(
            subprocess.Popen,
            command,
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
            start_new_session=True,
        )
        return spawned.result()


def _tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise BrokerError(
            f"{name!r} is missing: Kafka needs Java 17, Maven and util-linux, or set TIMESIDE_KAFKA_BOOTSTRAP"
        )
    return found


def _free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in held]
    for each in held:
        each.close()
    return ports
