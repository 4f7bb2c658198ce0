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
from typing import Any
from urllib.parse import quote

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

    def forget(self) -> None:
        """Whoever had an account has none any more."""
        self._client = None
        self.done.clear()

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
    lab.stack.down("--volumes")
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
    lab.stack.down()
    took_s = lab.stack.up()
    for each in lab.done:
        lab.client.check(each)
    lab.say(f"down, up ({took_s:.0f} s): {len(lab.done)} recordings with their results are there, and right")


def restore(lab: Lab) -> None:
    """A backup as docs/operations.md says, everything thrown away, and the backup put back."""
    began = time.monotonic()
    lab.stack.save(lab.folder)
    saved_s, began = time.monotonic() - began, time.monotonic()
    lab.stack.down("--volumes")
    lab.stack.restore(lab.folder)
    lab.stack.up()
    for each in lab.done:
        lab.client.check(each)
    database, store = ((lab.folder / name).stat().st_size >> 10 for name in ("database.dump", "store.tar"))
    lab.say(
        f"backup in {saved_s:.0f} s: database {database} KiB, store {store} KiB; all thrown away and restored in "
        f"{time.monotonic() - began:.0f} s: {len(lab.done)} recordings are right"
    )
    asked = lab.client.ask(recording(random.Random()).data, *PROCESSORS)
    lab.client.wait(asked)
    lab.client.check(asked)


def watch(lab: Lab) -> None:
    """Prometheus finds every service, and answers what the alerts and the dashboard ask."""
    lab.stack.compose("--profile", "observability", "up", "--detach", "--wait", "prometheus")
    with lab.load("watched by Prometheus"):
        time.sleep(40)
    targets = _prometheus(lab, "targets")["activeTargets"]
    found = Counter(each["labels"]["pod"].rpartition("-")[0] for each in targets if each["health"] == "up")
    assert set(found) == set(OWN), [(each["labels"]["pod"], each["lastError"]) for each in targets]
    queries = [target["expr"] for panel in _dashboard()["panels"] for target in panel.get("targets", ())]
    asked = [query.replace("$namespace", "timeside") for query in queries]
    empty = [query for query in asked if not _prometheus(lab, f"query?query={quote(query)}")["result"]]
    rules = [rule for group in _prometheus(lab, "rules")["groups"] for rule in group["rules"]]
    broken = [rule["name"] for rule in rules if rule["health"] == "err"]
    assert not broken, broken
    firing = [rule["name"] for rule in rules if rule["state"] == "firing"]
    lab.say(
        f"Prometheus: {sum(found.values())} targets up; {len(queries)} queries of the dashboard, without data: "
        f"{empty or 'none'}; {len(rules)} alerts, firing: {firing or 'none'}"
    )


def trace(lab: Lab) -> None:
    """A request's trace goes through all services to its results; another collector stands in the place of Jaeger."""
    lab.stack.files.append(engine.ROOT / "tests" / "deploy" / "collector.yml")
    lab.stack.write_env(TIMESIDE_TRACES_URL="http://jaeger:4318")
    try:
        lab.stack.compose("--profile", "observability", "up", "--detach", "--wait", "jaeger")
        lab.stack.up()
        with lab.load("traced"):
            time.sleep(10)
        time.sleep(6)  # spans are sent every 5 s
        said = lab.stack.compose("--profile", "observability", "logs", "--no-log-prefix", "jaeger").stdout
        services: dict[str, set[str]] = {}
        for line in said.splitlines():
            found, service, *_ = line.split()
            services.setdefault(found, set()).add(service.removeprefix("timeside-"))
        path = {"api-http", "api-dispatcher", "api-recorder", "decoder", "analyzer", "encoder"}
        whole = [found for found in services.values() if path <= found]
        assert whole, services
        lab.say(f"traces: {len(services)} came, {len(whole)} of them by {', '.join(sorted(path))}")
    finally:
        lab.stack.files.pop()
        lab.stack.write_env()
    lab.stack.compose("--profile", "observability", "rm", "--stop", "--force", "jaeger")
    lab.stack.up()


def notebook(lab: Lab) -> None:
    """The example runs in the notebook's container, and asks the platform."""
    lab.stack.write_env(NOTEBOOK_KEY=lab.client.key)
    lab.stack.compose("--profile", "notebook", "up", "--detach", "--wait", "--build", "notebook", limit_s=1800)
    command = ("jupyter", "execute", "example.ipynb", "--output=/tmp/done.ipynb")
    lab.stack.compose("--profile", "notebook", "exec", "-T", "notebook", *command)
    done = lab.stack.compose("--profile", "notebook", "exec", "-T", "notebook", "cat", "/tmp/done.ipynb").stdout
    assert "image/png" in done, "no picture"
    assert "result (" in done, "no rows from the platform"
    lab.stack.write_env()
    lab.say("the example in the notebook: results, a picture, and rows from the platform")


def plugin(lab: Lab) -> None:
    """A processor of others, built into the images that need it, is found and run."""
    wheels = engine.ROOT / "deploy" / "plugins"
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "timeside.cli", "new-plugin", "attacks"], cwd=folder, check=True)
        build = [
            sys.executable,
            "-m",
            "build",
            "--wheel",
            "--no-isolation",
            "--outdir",
            wheels,
            Path(folder, "timeside-attacks"),
        ]
        subprocess.run(build, check=True, capture_output=True)
    try:
        lab.stack.write_env(PLUGINS="/plugins/*.whl", IMAGE_TAG="plugin")
        for service in ("api", "analyzer"):
            lab.stack.compose("build", service)
        for service in ("api", "analyzer"):
            name = f"timeside/{service}:plugin"
            said = docker("run", "--rm", "--network=none", name, "python", "-c", _HAS_PLUGIN)
            assert said.startswith("attacks"), said
            docker("image", "rm", name)
    finally:
        lab.stack.write_env()
        for wheel in wheels.glob("timeside_attacks*.whl"):
            wheel.unlink()
    lab.say("a plug-in's wheel, built into api and analyzer, is found there")


def bucket(lab: Lab) -> None:
    """The same over a bucket, which another S3 server serves in the place of SeaweedFS."""
    lab.stack.down("--volumes")
    lab.forget()
    lab.stack.files.append(engine.ROOT / "tests" / "deploy" / "bucket.yml")
    keys = {"AWS_ACCESS_KEY_ID": "timeside", "AWS_SECRET_ACCESS_KEY": "of the test", "AWS_REGION": "us-east-1"}
    where = {"TIMESIDE_STORE_URL": "s3://timeside/kept", "AWS_ENDPOINT": "http://s3:8333", "AWS_ALLOW_HTTP": "true"}
    lab.stack.write_env(**keys, **where)
    try:
        lab.stack.compose("--profile", "s3", "up", "--detach", "--wait", "--build", "s3")
        make = "import urllib.request as r; r.urlopen(r.Request('http://127.0.0.1:8333/timeside', method='PUT'))"
        lab.stack.compose("--profile", "s3", "exec", "-T", "s3", "python3", "-c", make)
        lab.stack.up()
        with lab.load("over a bucket"):
            time.sleep(20)
        kept = lab.stack.run("api", "find", "/var/lib/timeside/store", "-type", "f").split()
        assert not kept, kept
        lab.say("over a bucket: nothing was kept in the volume")
    finally:
        lab.stack.down("--volumes", check=False)
        lab.stack.files.pop()
        lab.stack.write_env()


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
    restore, watch, trace, notebook, plugin, bucket,
)  # fmt: skip


_HAS_PLUGIN = "from timeside_core import get_processor; print(get_processor('attacks').id)"


def _dashboard() -> dict[str, Any]:
    return json.loads((engine.ROOT / "deploy/helm/timeside/files/dashboards/timeside.json").read_text())


def _prometheus(lab: Lab, path: str) -> dict[str, Any]:
    code = f"import urllib.request as r; print(r.urlopen('http://prometheus:9090/api/v1/{path}').read().decode())"
    return json.loads(lab.stack.run("dispatcher", "python", "-c", code))["data"]


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
                lab.stack.down("--volumes", check=False)
    return 0


if __name__ == "__main__":
    sys.exit(main())
