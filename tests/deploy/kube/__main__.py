"""The chart on a real cluster: installed, tested, walled in, sized by load, upgraded, rolled back, broken.

    python -m tests.deploy.kube [--out FOLDER] [STEP…]

It needs kubectl, a current kubeconfig with KEDA and a metrics server, the images (tag IMAGE_TAG, `dev`) on the node,
and a node whose address can be reached. Each step says what it saw, with figures; the first that sees something else
ends it.
"""

import argparse
import io
import random
import time
import wave
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
from tests.deploy.client import Asked, Client, Load
from tests.deploy.kube import cluster
from tests.deploy.kube.cluster import DATA, HERE, NAMESPACE, RELEASE, execute, helm, kubectl, ready, sql

WORKERS = ("decoder", "decoder-live", "analyzer", "analyzer-librosa", "grapher", "encoder", "worker")
ALL = ("api", "dispatcher", "recorder", *WORKERS)
LOADS = 3
"""People who ask for one recording after the other."""
SECONDS = 600.0
"""Of a recording that takes its time: 4 s of a core, or more, for each of `slow`."""


class Lab:
    """What the steps share."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._client: Client | None = None

    def say(self, line: str) -> None:
        """A line of the report."""
        print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)
        self.lines.append(line)

    @property
    def client(self) -> Client:
        """An administrator."""
        if self._client is None:
            name = f"tester-{random.randrange(1 << 30)}"
            said = execute("deploy/timeside-api", "timeside", "admin", "user", "add", name, "--admin")
            self._client = Client(cluster.address)
            self._client.sign_in(name, said.strip().rpartition(" ")[2])
        return self._client

    @contextmanager
    def load(self, what: str) -> Generator[None]:
        """Have some ask for one recording after the other meanwhile; then all must be done, once, and right."""
        before = self.client.again
        loads = [Load(self.client, seed=random.randrange(1 << 30)) for _ in range(LOADS)]
        for each in loads:
            each.start()
        began = time.monotonic()
        yield
        took_s = time.monotonic() - began
        asked = [one for each in loads for one in each.finish()]
        waits = [each.settled_at - each.asked_at for each in asked]
        check_once()
        self.say(
            f"  {what}: {len(asked)} recordings in {took_s:.0f} s, all done, once, and right; "
            f"{self.client.again - before} requests sent again; "
            f"median wait {median(waits):.1f} s, longest {max(waits):.0f} s"
        )


def check_once() -> None:
    """Nothing is done twice, and nothing is left over."""
    twice = sql(
        "SELECT media_sha256, processor, version, digest FROM result WHERE state IN ('pending', 'done')"
        " GROUP BY 1, 2, 3, 4 HAVING count(*) > 1"
    )
    assert not twice, f"results that are there twice: {twice}"
    bad = sql("SELECT state, count(*) FROM result WHERE state NOT IN ('pending', 'done') GROUP BY 1")
    assert not bad, f"results that were lost: {bad}"


def audio(seconds: float, seed: int) -> bytes:
    """Mono tones and noise that nobody has heard before."""
    rng = np.random.default_rng(seed)
    samples = rng.normal(0, 0.1, round(seconds * 16_000)) + 0.3 * np.sin(np.arange(round(seconds * 16_000)) * 0.1)
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, 2, 16_000, 0, "NONE", ""))
        writer.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return file.getvalue()


# Steps


def data(lab: Lab) -> None:
    """Kafka, PostgreSQL, a folder for the store, Secrets."""
    for name in ("data", "store"):
        cluster.run("kubectl", "apply", "--filename", str(HERE / f"{name}.yaml"))
    namespace = f"apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {NAMESPACE}\n"
    namespace += "  labels: {pod-security.kubernetes.io/enforce: restricted}\n"
    kubectl("apply", "--filename", "-", data=namespace)
    for name in ("kafka", "postgres"):
        kubectl("rollout", "status", f"statefulset/{name}", "--timeout", "5m", namespace=DATA)
    kubectl("wait", "job/folder", "--for=condition=complete", "--timeout", "3m", namespace="timeside-node")
    url = f"postgresql://timeside:timeside@postgres.{DATA}/timeside"
    cluster.secret("timeside-database", url=url)
    cluster.secret("timeside-secret", secret="a secret for tests, of 32 characters")
    cluster.secret("timeside-queue", url=f"postgresql://timeside_queue:queue@postgres.{DATA}/timeside?sslmode=disable")
    cluster.secret("timeside-key", key="not yet")
    lab.say("Kafka and PostgreSQL are there, the namespace enforces the restricted Pod Security Standard")


def refuse(lab: Lab) -> None:
    """Wrong values end the install before anything starts."""
    for wrong, told in (
        ("api.settings.access_s=1", "/api/settings/access_s"),
        ("decoder.replicas=25", "decoder.replicas: 25 pods"),
        ("kafka.bootstrap=kafka", "/kafka/bootstrap"),
    ):
        said = cluster.refused(wrong)
        assert told in said, said
    assert not cluster.get("deployments,jobs,pods")["items"], "something was started"
    lab.say("three wrong values: each named with its rule, nothing was started")


def install(lab: Lab) -> None:
    """From nothing to ready; tables and topics first."""
    took_s = cluster.install()
    lab.say(f"helm install --wait: {took_s:.0f} s; {cluster.restarts(ALL)} containers were restarted")
    sql("DO $$ BEGIN CREATE ROLE timeside_queue LOGIN PASSWORD 'queue'; EXCEPTION WHEN duplicate_object THEN END $$")
    sql("GRANT SELECT (id, lane, state, cost_s) ON run TO timeside_queue")
    sql("GRANT SELECT (run_id, state, pool) ON result TO timeside_queue")


def smoke(lab: Lab) -> None:
    """`helm test`: upload, analysis, encoding, stream, from a pod of its own."""
    made = lab.client.send("POST", "/v1/api-keys", json={"name": "helm test"}).json()
    cluster.secret("timeside-key", key=made["key"])
    began = time.monotonic()
    said = helm("test", RELEASE, "--logs", "--timeout", "5m")
    assert "uploaded, analysed, encoded and read back" in said, said
    lab.say(f"helm test: green in {time.monotonic() - began:.0f} s: upload, analysis, FLAC, stream")


def round_trip(lab: Lab) -> None:
    """From outside, all pools and both lanes, compared with one process."""
    asked = lab.client.ask(audio(5, random.randrange(1 << 30)), "mean_dc_shift", "librosa_pyin")
    lab.client.wait(asked)
    lab.client.check(asked)
    lab.say(f"from outside, with librosa's pool: {asked.settled_at - asked.asked_at:.1f} s from upload to results")
    with lab.load("from outside, nothing disturbed"):
        time.sleep(20)


TRY = """if True:
    import socket, sys
    for place in sys.argv[1:]:
        host, port = place.rsplit(":", 1)
        try:
            socket.create_connection((host, int(port)), timeout=4).close()
            print(place, "open")
        except OSError:
            print(place, "closed")
"""


def walls(lab: Lab) -> None:
    """What pods reach: what they need, and nothing else."""
    kafka, postgres = f"kafka-0.kafka.{DATA}:9092", f"postgres.{DATA}:5432"
    api = f"{RELEASE}.{NAMESPACE}:80"
    kubernetes = cluster.get("service", "kubernetes", namespace="default")["spec"]["clusterIP"] + ":443"
    needed = {name: {kafka} if name in WORKERS else {kafka, postgres} for name in ALL}
    for name in ALL:
        others = [] if name == "api" else [api]  # a Service may lead a pod to itself
        places = (kafka, postgres, kubernetes, *others)
        said = execute(f"deploy/timeside-{name}", "python", "-c", TRY, *places)
        reached = {line.split()[0] for line in said.splitlines() if line.endswith("open")}
        assert reached == needed[name], f"{name} reaches {reached}, and needs {needed[name]}"
    (pod, *_) = [each["status"]["podIP"] for each in cluster.pods("decoder")]
    probe = ("kafka-0", "--", "bash", "-c")
    said = kubectl("exec", *probe, f"timeout 4 bash -c '</dev/tcp/{pod}/9100' && echo open", namespace=DATA)
    assert "open" in said, "metrics cannot be read"
    kubectl("exec", *probe, "timeout 4 bash -c '</dev/tcp/postgres/5432'", namespace=DATA)
    lab.say(
        f"default deny holds: {len(WORKERS)} kinds of workers reach Kafka, and neither PostgreSQL nor the API nor "
        "Kubernetes; api, dispatcher and recorder reach PostgreSQL too; so does a pod without policies"
    )


def slow(count: int) -> list[dict[str, object]]:
    """So many processors that take their time, and that nobody has asked for before."""
    return [
        {"processor": "aubio_pitch", "parameters": {"method": "yin", "tolerance": random.uniform(0.1, 0.2)}}
        for _ in range(count)
    ]


def upload(lab: Lab, data: bytes) -> str:
    """The item of a recording."""
    item = lab.client.send("POST", "/v1/items", json={"title": "long"}).json()["id"]
    lab.client.send("PUT", f"/v1/items/{item}/media", content=data)
    return item


def ask(lab: Lab, item: str, *processors: dict[str, object], lane: str = "interactive") -> Asked:
    """A task."""
    body = {"item_id": item, "processors": list(processors), "lane": lane}
    task = lab.client.send("POST", "/v1/tasks", json=body).json()["id"]
    return Asked(b"", item, task, time.monotonic())


def _scale(lab: Lab, mode: str, count: int) -> None:
    took_s = cluster.install(f"autoscaling.mode={mode}")
    cluster.wait("one analyzer", lambda: len(cluster.pods("analyzer")) == 1)
    lab.say(f"  upgraded to autoscaling.mode={mode} in {took_s:.0f} s")
    item = upload(lab, audio(SECONDS, random.randrange(1 << 30)))
    began = time.monotonic()
    asked = [ask(lab, item, *slow(1)) for _ in range(count)]
    cluster.wait("more analyzers", lambda: len(cluster.pods("analyzer")) > 1, limit_s=120)
    first_s = time.monotonic() - began
    cluster.wait("three analyzers that are ready", lambda: len(ready("analyzer")) == 3, limit_s=240)
    all_s = time.monotonic() - began
    for each in asked:
        lab.client.wait(each, limit_s=900)
    done_s = time.monotonic() - began
    down_s = cluster.wait("one analyzer again", lambda: len(cluster.pods("analyzer")) == 1, limit_s=400)
    check_once()
    lab.say(
        f"{mode}: {count} runs of {SECONDS:g} s of audio queued; second analyzer asked for after {first_s:.0f} s, "
        f"three ready after {all_s:.0f} s, all done after {done_s:.0f} s, one again {down_s:.0f} s later"
    )


def keda(lab: Lab) -> None:
    """Audio that waits makes more analyzers, and fewer once it is done."""
    _scale(lab, "keda", 16)


def hpa(lab: Lab) -> None:
    """The same by CPU."""
    _scale(lab, "hpa", 16)


def upgrade(lab: Lab) -> None:
    """All pods are replaced while work goes on; then the release is rolled back."""
    cluster.install("autoscaling.mode=none")
    revision = helm("history", RELEASE, "--output", "json").count('"revision"')
    with lab.load("during an upgrade and a rollback of all pods"):
        time.sleep(5)
        up_s = cluster.install("autoscaling.mode=none", "pods.annotations.test/round=two")
        began = time.monotonic()
        helm("rollback", RELEASE, str(revision), "--wait", "--timeout", "8m")
        back_s = time.monotonic() - began
        time.sleep(5)
    lab.say(f"rolling upgrade: {up_s:.0f} s; rollback: {back_s:.0f} s")


def scale_in(lab: Lab) -> None:
    """Pods are taken away while they work."""
    with lab.load("while analyzers went 1 → 3 → 1 twice, and decoders 1 → 2 → 1"):
        for size, decoders in ((3, 2), (1, 1), (3, 2), (1, 1)):
            kubectl("scale", "deploy/timeside-analyzer", f"--replicas={size}")
            kubectl("scale", "deploy/timeside-decoder", f"--replicas={decoders}")
            cluster.wait(
                f"{size} analyzers", lambda size=size: len(ready("analyzer")) == len(cluster.every("analyzer")) == size
            )
            time.sleep(5)
    lab.say("scale-in under load: nothing lost, nothing doubled")


def _settled(component: str, size: int) -> bool:
    """Whether it has so many pods, all ready, and none that is about to end."""
    return len(ready(component)) == len(cluster.every(component)) == size


def plain_jobs(lab: Lab) -> None:
    """Without hooks: Jobs that are named after what they do, and end."""
    took_s = cluster.install("jobs.hooks=false")
    jobs = [each["metadata"]["name"] for each in cluster.get("jobs")["items"]]
    for each in jobs:
        kubectl("wait", f"job/{each}", "--for=condition=complete", "--timeout", "3m")
    assert len(jobs) == 2, jobs
    lab.say(f"upgrade with plain Jobs instead of hooks: {took_s:.0f} s, {' and '.join(sorted(jobs))} complete")


def evicted(lab: Lab) -> None:
    """A pod that its node throws out at once costs the run that it had one attempt, at most."""
    kubectl("scale", "deploy/timeside-analyzer", "--replicas=1")
    cluster.wait("one analyzer", lambda: _settled("analyzer", 1))
    _evict(lab, "analyzer", "interactive", {"1", "2"})  # in time, the next one goes on where the log says
    _evict(lab, "worker", "bulk", {"2"})


def _evict(lab: Lab, component: str, lane: str, attempts: set[str]) -> None:
    asked = ask(lab, upload(lab, audio(SECONDS, random.randrange(1 << 30))), *slow(40), lane=lane)
    run = (
        "SELECT DISTINCT run.attempt, run.strikes, run.state FROM run JOIN result ON result.run_id = run.id"
        f" JOIN task_result ON task_result.result_id = result.id WHERE task_id = '{asked.task}'"
    )
    cluster.wait("a run at work", lambda: sql(run)[0][2] == "running")
    time.sleep(5)
    (pod,) = ready(component)
    began = time.monotonic()
    fill = "open('/var/lib/timeside/scratch/full', 'wb').write(bytes(200 << 20))"
    kubectl("exec", pod, "--", "python", "-c", fill)
    cluster.wait("an eviction", lambda: _is_evicted(pod))
    evicted_s = time.monotonic() - began
    assert sql(run)[0][2] == "running", "the run was done before the eviction"
    lab.client.wait(asked, limit_s=900)
    ((attempt, strikes, _),) = sql(run)
    check_once()
    assert attempt in attempts, f"attempt {attempt}, strikes {strikes}"
    lab.say(
        f"evicted by its node ({evicted_s:.0f} s after its folder was too full) in mid-run: {component}; done in "
        f"attempt {attempt}, {asked.settled_at - began:.0f} s after, strikes {strikes}"
    )


def _is_evicted(pod: str) -> bool:
    """By its events: what a pod says of itself depends on how its end went."""
    events = cluster.get("events", "--field-selector", f"involvedObject.name={pod},reason=Evicted")["items"]
    return bool(events) and cluster.get("pod", pod)["status"]["phase"] != "Running"


STEPS: dict[str, Callable[[Lab], None]] = {
    each.__name__: each
    for each in (data, refuse, install, smoke, round_trip, walls, keda, hpa, upgrade, scale_in, evicted, plain_jobs)
}


def clean() -> None:
    """Take everything away again."""
    kubectl("delete", "namespace", NAMESPACE, DATA, "timeside-node", "--ignore-not-found", "--timeout", "5m")
    kubectl("delete", "persistentvolume", "timeside-kube-store", "--ignore-not-found")


def main() -> None:
    """Do the steps, and write what was seen."""
    parser = argparse.ArgumentParser(prog="python -m tests.deploy.kube", description=__doc__)
    parser.add_argument("steps", nargs="*", choices=[*STEPS, "clean", []], metavar="STEP")
    parser.add_argument("--out", type=Path, default=Path("out/kube"))
    arguments = parser.parse_args()
    lab = Lab()
    try:
        for name in arguments.steps or STEPS:
            clean() if name == "clean" else STEPS[name](lab)
    finally:
        arguments.out.mkdir(parents=True, exist_ok=True)
        with (arguments.out / "report.txt").open("a") as report:
            report.writelines(f"{line}\n" for line in lab.lines)


if __name__ == "__main__":
    main()
