"""The platform under compose, on a real engine: brought up, used, scaled, broken, drained, made anew, restored.

    python -m tests.deploy.lab [--out FOLDER] [STEP…]

Each step says what it saw, with figures; the first that sees something else ends it. A load of recordings goes on while
things break, and everything that was asked for must be done, once, and right.
"""

import argparse
import io
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import soundfile
from tests.chaos.media import recording
from tests.deploy import stack as engine
from tests.deploy.client import PROCESSORS, Asked, Client, Load
from tests.deploy.stack import Stack, docker, inspected, wait_healthy

OWN = ("api", "dispatcher", "recorder", "decoder", "analyzer", "analyzer-librosa", "grapher", "encoder", "worker")
GRACE_S = 35
"""What compose waits after SIGTERM."""


class Lab:
    """What the steps share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stack = Stack(folder)
        self.lines: list[str] = []
        self.done: list[Asked] = []
        self._client: Client | None = None

    def say(self, line: str) -> None:
        """A line of the report."""
        print(line, flush=True)
        self.lines.append(line)

    @property
    def client(self) -> Client:
        """Somebody with an account."""
        if self._client is None:
            add = self.stack.compose("exec", "-T", "api", "timeside", "admin", "user", "add", "tester", check=False)
            said = add.stdout or self.stack.run("api", "timeside", "admin", "user", "reset", "tester")
            self._client = Client(self.stack.url)
            self._client.sign_in("tester", said.strip().rpartition(" ")[2])
        return self._client

    @contextmanager
    def load(self, what: str, *, pause_s: float = 1.0) -> Generator[None]:
        """Have somebody ask for one recording after the other meanwhile; then all must be done and right."""
        load, before = Load(self.client, seed=random.randrange(1 << 30), pause_s=pause_s), self.client.again
        load.start()
        began = time.monotonic()
        try:
            yield
        finally:
            asked = load.finish()
        waits, again = [each.settled_at - each.asked_at for each in asked], self.client.again - before
        self.done += asked
        self.say(
            f"  {what}: {len(asked)} recordings in {time.monotonic() - began:.0f} s, all done and right; "
            f"{again} requests sent again; waits: median {median(waits):.1f} s, longest {max(waits):.0f} s"
        )


def refuse(lab: Lab) -> None:
    """A wrong setting ends the start before anything else does, and is named with its rule."""
    lab.stack.write_env(TIMESIDE_LEASE_S="soon", TIMESIDE_CREDIT="3")
    done = lab.stack.compose("up", "--detach", "--wait", check=False)
    said = lab.stack.compose("logs", "--no-log-prefix", "settings").stdout
    started = [each["Service"] for each in lab.stack.containers() if each["State"] == "running"]
    assert done.returncode, "it came up with a wrong setting"
    assert not started, f"{started} were started"
    assert "TIMESIDE_LEASE_S: Input should be a valid number" in said, said
    assert "TIMESIDE_CREDIT: is no setting; did you mean TIMESIDE_CREDITS?" in said, said
    lab.stack.write_env()
    lab.stack.compose("down", "--volumes")
    lab.say("a wrong and an unknown setting: nothing was started, both were named")


def build(lab: Lab) -> None:
    """All images, one after the other."""
    began = time.monotonic()
    for service in ("api", *OWN[3:]):
        lab.stack.compose("build", service)
    lab.say(f"images built in {time.monotonic() - began:.0f} s")


def up(lab: Lab) -> None:
    """From nothing to healthy, by one command; then again, with nothing to do."""
    lab.say(f"up --wait from nothing: {lab.stack.up():.0f} s")
    lab.say(f"up --wait once more: {lab.stack.up():.0f} s")


def locked(lab: Lab) -> None:
    """What containers may not do, tried from inside."""
    script = """if True:
        import os, socket
        status = dict(line.split(":", 1) for line in open("/proc/self/status"))
        capabilities, walls = int(status["CapEff"], 16), int(status["NoNewPrivs"])
        print("uid", os.getuid(), "capabilities", capabilities, "no new privileges", walls)
        for place in ("/opt/timeside/x", "/etc/x", "/var/lib/timeside/x"):
            try:
                open(place, "w")
                print("WRITABLE", place)
            except OSError as error:
                print("read-only" if error.errno == 30 else error.strerror)
        for host, port in (("1.1.1.1", 443), ("postgres", 5432)):
            try:
                socket.create_connection((host, port), timeout=3).close()
                print("REACHED", host)
            except OSError:
                print("no way to", host)
    """
    for service in OWN:
        said = lab.stack.run(service, "python", "-c", script).splitlines()
        assert said[0] == "uid 10001 capabilities 0 no new privileges 1", (service, said)
        assert said[1:4] == ["read-only"] * 3, (service, said)
        inside = {"no way to 1.1.1.1", "no way to postgres"}
        expected = {"api": set[str](), "dispatcher": {"no way to 1.1.1.1"}, "recorder": {"no way to 1.1.1.1"}}
        assert expected.get(service, inside) <= set(said), (service, said)
    published = {each["Service"]: each["Publishers"] for each in lab.stack.containers()}
    addresses = {each["URL"] for ports in published.values() for each in ports or () if each["PublishedPort"]}
    assert addresses == {"127.0.0.1"}, addresses
    lab.say(
        "every service: uid 10001, no capabilities, no new privileges, read-only root; workers: no egress, no database"
    )
    used = docker("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}")
    total = sum(_mebibytes(line.split()[1]) for line in used.splitlines() if line.startswith(engine.PROJECT))
    lab.say(f"memory of all containers, idle: {total:.0f} MiB")


def result(lab: Lab) -> None:
    """One recording through all pools."""
    asked = lab.client.ask(recording(random.Random()).data, *PROCESSORS, "librosa_pyin")
    lab.client.wait(asked)
    lab.client.check(asked)
    lab.done.append(asked)
    lab.say(
        f"upload to results of all pools: {asked.settled_at - asked.asked_at:.1f} s, the first of librosa among them"
    )


def scale(lab: Lab) -> None:
    """Four analyzers share the work."""
    took_s = lab.stack.up("--no-recreate", "--scale", "analyzer=4")
    media = [_noise(seed) for seed in range(16)]
    items = [lab.client.upload(data) for data in media]
    asked = [lab.client.ask_of(item, data, *PROCESSORS) for item, data in zip(items, media, strict=True)]
    for each in asked:
        lab.client.wait(each)
        lab.client.check(each)
    lab.done += asked
    counts = [_metric(each["Name"], "timeside_audio_seconds_total") for each in lab.stack.containers("analyzer")]
    assert len(counts) == 4, counts
    assert sum(count > 0 for count in counts) >= 3, f"they did not share: {counts}"
    lab.say(
        f"up --scale analyzer=4: {took_s:.0f} s; seconds of audio each took: {', '.join(f'{c:.0f}' for c in counts)}"
    )


def kill(lab: Lab) -> None:
    """SIGKILL to all processes of each service in turn, under load; the engine starts it again."""
    with lab.load("kill -9 of decoder, analyzer, grapher, encoder, worker, dispatcher, recorder"):
        for service in ("decoder", "analyzer", "grapher", "encoder", "worker", "dispatcher", "recorder"):
            name = lab.stack.containers(service)[0]["Name"]
            before = inspected(name)["RestartCount"]
            docker("exec", name, "sh", "-c", "kill -KILL -1", check=False)
            _wait_restarted(name, before)


def broker(lab: Lab) -> None:
    """No broker for a minute."""
    with lab.load("no broker for a minute"):
        time.sleep(5)
        lab.stack.compose("stop", "kafka")
        time.sleep(60)
        lab.stack.compose("start", "kafka")
        wait_healthy(f"{engine.PROJECT}-kafka-1")
        time.sleep(10)


def database(lab: Lab) -> None:
    """No database for half a minute; who asks is told to try again."""
    with lab.load("no database for half a minute"):
        time.sleep(5)
        lab.stack.compose("stop", "postgres")
        time.sleep(30)
        lab.stack.compose("start", "postgres")
        wait_healthy(f"{engine.PROJECT}-postgres-1")
        time.sleep(10)


def network(lab: Lab) -> None:
    """Workers are cut off the bus, each for longer than its session and its leases."""
    with lab.load("decoder, analyzer and worker without network for 40 s each"):
        for service in ("decoder", "analyzer", "worker"):
            name, net = lab.stack.containers(service)[0]["Name"], f"{engine.PROJECT}_bus"
            docker("network", "disconnect", net, name)
            time.sleep(40)
            docker("network", "connect", "--alias", service, net, name)
            time.sleep(5)


def drain(lab: Lab) -> None:
    """`stop` of each service under load, and of those whose database or broker cannot be reached: in time, status 0."""
    took: dict[str, float] = {}
    with lab.load("each service stopped and started"):
        for service in OWN:
            took[service] = _stopped(lab, lab.stack.containers(service)[0]["Name"])
            lab.stack.compose("start", service)
            time.sleep(2)
    lab.say(f"  drains, all with status 0: {', '.join(f'{name} {seconds:.1f} s' for name, seconds in took.items())}")
    for service, cut in (("analyzer", "bus"), ("dispatcher", "database"), ("recorder", "bus"), ("api", "database")):
        name = lab.stack.containers(service)[0]["Name"]
        docker("network", "disconnect", f"{engine.PROJECT}_{cut}", name)
        time.sleep(3)
        began = time.monotonic()
        docker("stop", name)
        seconds, code = time.monotonic() - began, inspected(name)["State"]["ExitCode"]
        assert code != 137, f"{service} without {cut} had to be killed after {seconds:.1f} s"
        docker("network", "connect", "--alias", service, f"{engine.PROJECT}_{cut}", name)
        docker("start", name)
        wait_healthy(name)
        lab.say(f"  {service} stopped while its {cut} was cut off: {seconds:.1f} s, status {code}")


def renew(lab: Lab) -> None:
    """Every container of ours made anew under load, one service after the other."""
    with lab.load("rolling re-creation of every service"):
        for service in OWN:
            lab.stack.up("--no-deps", "--force-recreate", "--no-build", service)


def survive(lab: Lab) -> None:
    """`down` and `up`: accounts, keys, results, topics are there."""
    lab.stack.compose("down")
    took_s = lab.stack.up()
    for each in lab.done:
        lab.client.check(each)
    lab.say(f"down, up ({took_s:.0f} s): {len(lab.done)} recordings with their results are there, and right")


def restore(lab: Lab) -> None:
    """A backup as docs/operations.md says, everything thrown away, and the backup put back."""
    began = time.monotonic()
    dump, files, keys = (lab.folder / name for name in ("database.dump", "store.tar", "secrets.tar"))
    docker_file = f"{engine.PROJECT}-postgres-1"
    with dump.open("wb") as file:
        subprocess.run(
            ["docker", "exec", docker_file, "pg_dump", "-U", "timeside", "-Fc", "timeside"], stdout=file, check=True
        )
    for volume, archive in (("store", files), ("secrets", keys)):
        with archive.open("wb") as file:
            subprocess.run(_tar(volume, "c"), stdout=file, check=True)
    saved_s, began = time.monotonic() - began, time.monotonic()
    lab.stack.compose("down", "--volumes")
    lab.stack.compose("create")  # makes the volumes
    for volume, archive in (("store", files), ("secrets", keys)):
        with archive.open("rb") as file:
            subprocess.run(_tar(volume, "x"), stdin=file, check=True)
    lab.stack.up("postgres")
    with dump.open("rb") as file:
        command = [
            "docker",
            "exec",
            "-i",
            docker_file,
            "pg_restore",
            "-U",
            "timeside",
            "-d",
            "timeside",
            "--exit-on-error",
        ]
        subprocess.run(command, stdin=file, check=True)
    lab.stack.up()
    for each in lab.done:
        lab.client.check(each)
    lab.say(
        f"backup in {saved_s:.0f} s: database {dump.stat().st_size >> 10} KiB, store {files.stat().st_size >> 20} MiB; "
        f"all thrown away and restored in {time.monotonic() - began:.0f} s: {len(lab.done)} recordings are right"
    )
    asked = lab.client.ask(recording(random.Random()).data, *PROCESSORS)
    lab.client.wait(asked)
    lab.client.check(asked)


def once(lab: Lab) -> None:
    """Each result was made once, nothing lies among the dead letters, nothing waits."""
    query = (
        "SELECT count(*), count(DISTINCT (media_sha256, processor, version, digest)) FROM result WHERE state = 'done'"
    )
    counts = lab.stack.run("postgres", "psql", "-U", "timeside", "-d", "timeside", "-Atc", query).strip().split("|")
    assert counts[0] == counts[1], counts
    letters = lab.stack.run("api", "timeside", "letters", "list").strip()
    scrubbed = lab.stack.run("api", "timeside", "store", "scrub").strip()
    lab.say(f"results done: {counts[0]}, each of another key; dead letters: {letters or 'none'}; store: {scrubbed}")


def versions(lab: Lab) -> None:
    """What it was tried with."""
    facts = json.loads(docker("version", "--format", "json"))
    compose = docker("compose", "version", "--short").strip()
    lab.say(f"engine {facts['Server']['Version']}, compose {compose}")
    sizes = Counter[str]()
    for line in docker("images", "--format", "{{.Repository}}:{{.Tag}}").split():
        if line.startswith("timeside/") and line.endswith(":test"):
            sizes[line.removesuffix(":test")] = inspected(line)["Size"] >> 20
    lab.say("images, MiB: " + ", ".join(f"{name} {size}" for name, size in sorted(sizes.items())))


STEPS: tuple[Callable[[Lab], None], ...] = (
    build, versions, refuse, up, locked, result, scale, kill, broker, database, network, drain, renew, survive, once,
    restore,
)  # fmt: skip


def _tar(volume: str, mode: str) -> list[str]:
    options = ["--rm", "--interactive", "--user", "0", "--network", "none", "--entrypoint", "tar"]
    return [
        "docker",
        "run",
        *options,
        "-v",
        f"{engine.PROJECT}_{volume}:/volume",
        "timeside/api:test",
        f"-{mode}C",
        "/volume",
        ".",
    ][: -1 if mode == "x" else None]


def _noise(seed: int) -> bytes:
    """Five minutes that nobody has heard before: long enough that several are at work at once."""
    file = io.BytesIO()
    noise = np.random.default_rng([440, seed]).standard_normal(300 * 16_000).astype(np.float32) / 8
    soundfile.write(file, noise, 16_000, format="WAV", subtype="PCM_16")
    return file.getvalue()


def _wait_restarted(name: str, before: int) -> None:
    """Wait until the engine has started again by itself what was killed."""
    deadline = time.monotonic() + 30
    while inspected(name)["RestartCount"] == before:
        assert time.monotonic() < deadline, f"{name} was not started again"
        time.sleep(0.5)
    wait_healthy(name)


def _stopped(lab: Lab, name: str) -> float:
    began = time.monotonic()
    docker("stop", name)
    seconds, code = time.monotonic() - began, inspected(name)["State"]["ExitCode"]
    assert code == 0, f"{name} ended with status {code} after {seconds:.1f} s: {docker('logs', '--tail', '20', name)}"
    assert seconds < GRACE_S, f"{name} took {seconds:.1f} s to drain"
    return seconds


def _metric(container: str, name: str) -> float:
    code = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:9100/metrics').read().decode())"
    lines = docker("exec", container, "python", "-c", code).splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.partition("{")[0].partition(" ")[0] == name)


def _mebibytes(text: str) -> float:
    units = {"KiB": 1 / 1024, "MiB": 1, "GiB": 1024}
    return float(text[:-3]) * units[text[-3:]]


def main() -> int:
    """Run the steps."""
    names = {step.__name__: step for step in STEPS}
    parser = argparse.ArgumentParser(prog="python -m tests.deploy.lab", description=__doc__)
    parser.add_argument("steps", nargs="*", choices=[*names, []], metavar="STEP", help=f"of {', '.join(names)}")
    parser.add_argument("--out", type=Path, default=Path("out/compose"))
    parser.add_argument("--keep", action="store_true", help="leave the platform running")
    arguments = parser.parse_args()
    if not engine.is_there():
        print("no Docker engine answers: nothing was tried")
        return 1
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="timeside-compose-") as folder:
        lab = Lab(Path(folder))
        try:
            for name in arguments.steps or names:
                print(f"-- {name}", flush=True)
                names[name](lab)
        except AssertionError as error:
            lab.say(f"FAILED: {error}")
            (arguments.out / "services.log").write_text(lab.stack.compose("logs", "--timestamps", check=False).stdout)
            return 1
        finally:
            (arguments.out / "log.txt").write_text("\n".join(lab.lines) + "\n")
            if not arguments.keep:
                lab.stack.compose("down", "--volumes", check=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
