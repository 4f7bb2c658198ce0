"""`python -m deploy.release VERSION REGISTRY …`: build, push, pin by digest, package and sign all images and the chart.

Images become REGISTRY/timeside/NAME, the chart REGISTRY/charts/timeside. What is left in dist/release:

- `images.yaml`: values that pin the images of the chart; the packaged chart beside it has them as its own
- `compose.images.yml`: the same for compose, after `-f deploy/compose.yml`
- `sbom/NAME.cdx.json`: what an image holds
- `SHA256SUMS`: of all of these

Each step can be repeated. A failure ends it: the chart, which names all images, is pushed after them.
"""

import argparse
import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
CHART = ROOT / "deploy" / "helm" / "timeside"
OUT = ROOT / "dist" / "release"
SBOM = "/opt/timeside/sbom.cdx.json"
"""In an image."""
IMAGES_KEY = "artifacthub.io/images"
UNKNOWN = "sha256:" + 64 * "0"
"""In place of a digest that only a push would tell."""
Digests = Mapping[str, str]
"""By repository: timeside/api."""


class ReleaseError(Exception):
    """Why there is no release; names the thing, the value and the rule."""


@dataclass(frozen=True)
class Shell:
    """Runs commands, and shows them; with `dry`, only those that read or write on this machine's disk."""

    dry: bool

    def here(self, *command: object) -> str:
        """Run it in any case; what it says."""
        return self._run(command).stdout

    def there(self, *command: object) -> str:
        """Run what takes long or is seen by others; what it says, which with `dry` is nothing."""
        return self._run(command, dry=self.dry).stdout

    def push(self, *command: object) -> str:
        """Run what sends something to a registry; its digest there, or a placeholder with `dry`."""
        done = self._run(command, dry=self.dry)
        return UNKNOWN if self.dry else digest_of(done.stdout + done.stderr)

    def _run(self, command: Sequence[object], dry: bool = False) -> "subprocess.CompletedProcess[str]":
        words = [str(word) for word in command]
        print("$", shlex.join(words), flush=True)
        if dry:
            return subprocess.CompletedProcess(words, 0, "", "")
        done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ReleaseError(
                f"{shlex.join(words)} ended with {done.returncode}:\n{done.stdout}{done.stderr}".rstrip()
            )
        return done


@dataclass(frozen=True)
class Signer:
    """Signs by cosign, or not at all where there is no key."""

    shell: Shell
    program: str
    key: str | None
    private: bool

    def image(self, reference: str) -> None:
        """Sign what a digest names."""
        self._cosign("sign", reference)

    def contents(self, reference: str, sbom: Path) -> None:
        """Bind to an image what it holds."""
        self._cosign("attest", "--type", "cyclonedx", "--predicate", sbom, reference)

    def file(self, path: Path) -> None:
        """Sign a file, by one beside it."""
        self._cosign("sign-blob", "--bundle", f"{path}.bundle", path)

    def _cosign(self, verb: str, *words: object) -> None:
        if self.key:
            log = ["--tlog-upload=false", "--use-signing-config=false"] if self.private else []
            self.shell.there(self.program, verb, "--yes", "--key", self.key, *log, *words)


def targets() -> list[str]:
    """Names of all images, which are those that compose builds."""
    services = yaml.safe_load((ROOT / "deploy" / "compose.yml").read_text())["services"]
    return sorted(each["build"]["target"] for each in services.values() if "build" in each)


def values(registry: str, digests: Digests) -> dict[str, Any]:
    """Values that pin the images of the chart."""
    return {"image": {"registry": registry, "digests": dict(digests)}}


def override(registry: str, digests: Digests) -> str:
    """A file for compose that pins the images of `compose.yml`, and builds none."""
    services = yaml.safe_load((ROOT / "deploy" / "compose.yml").read_text())["services"]
    lines = ["services:"]
    for name, each in services.items():
        found = re.fullmatch(r"\$\{IMAGE_PREFIX:-(\w+)\}/([\w-]+):\$\{IMAGE_TAG:-dev\}", each["image"])
        if found:
            repository = "/".join(found.groups())
            lines += [f"  {name}:", f"    image: {registry}/{repository}@{digests[repository]}"]
            lines += ["    build: !reset null"] if "build" in each else []
    return "\n".join(lines) + "\n"


def stage(folder: Path, registry: str, digests: Digests) -> Path:
    """A copy of the chart whose own values, and what it tells of its images, are pinned."""
    chart = folder / CHART.name
    shutil.copytree(CHART, chart)
    pinned = values(registry, digests)["image"]
    text = (chart / "values.yaml").read_text()
    for name in ("registry", "digests"):
        text = re.sub(rf"(?m)^  {name}: \S+", f"  {name}: {json.dumps(pinned[name])}", text, count=1)
    image = yaml.safe_load(text)["image"]
    if any(image[name] != pinned[name] for name in pinned):
        raise ReleaseError("values.yaml must have image.registry and image.digests, each on a line of its own")
    (chart / "values.yaml").write_text(text)
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    told = yaml.safe_load(about["annotations"][IMAGES_KEY])
    for each in told:
        repository = each["image"].partition(":")[0]
        each["image"] = f"{registry}/{repository}@{digests[repository]}"
    about["annotations"][IMAGES_KEY] = yaml.safe_dump(told, sort_keys=False)
    (chart / "Chart.yaml").write_text(yaml.safe_dump(about, sort_keys=False))
    return chart


def check_versions(version: str) -> str:
    """Raises if it is not that of the project and the chart; the chart's own version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    if not version == project == chart["appVersion"]:
        raise ReleaseError(
            f"version {version} must be that of pyproject.toml, {project}, and appVersion of Chart.yaml, "
            f"{chart['appVersion']}"
        )
    return chart["version"]


def check_programs(given: argparse.Namespace) -> None:
    """Raises if one is missing."""
    needed = ["git", given.helm]
    if not given.dry_run:
        needed += ["docker", *([given.cosign] if given.key else [])]
    if missing := [each for each in needed if not shutil.which(each)]:
        raise ReleaseError(f"{', '.join(missing)} must be there")


def check_tree(shell: Shell, version: str) -> tuple[str, str]:
    """Raises unless all is committed and tagged; the commit and its time."""
    if changed := shell.here("git", "status", "--porcelain"):
        raise ReleaseError(f"a release is of a commit; these are not in it:\n{changed.rstrip()}")
    tags = shell.here("git", "tag", "--points-at", "HEAD").split()
    if f"v{version}" not in tags:
        raise ReleaseError(f"the commit must have the tag v{version}; it has {', '.join(tags) or 'none'}")
    revision, time = shell.here("git", "log", "-1", "--format=%H %cI").split()
    return revision, time


def build(shell: Shell, given: argparse.Namespace, revision: str, time: str) -> dict[str, str]:
    """All images, or those that are there, under their names in the registry; these by repository."""
    made: dict[str, str] = {}
    for target in targets():
        reference = made[f"timeside/{target}"] = f"{given.registry}/timeside/{target}:{given.version}"
        if given.tag:
            shell.there("docker", "tag", f"timeside/{target}:{given.tag}", reference)
        else:
            arguments = {"PYTHON_IMAGE": given.base, "VERSION": given.version, "REVISION": revision}
            words = [word for name, value in arguments.items() for word in ("--build-arg", f"{name}={value}")]
            words += ["--label", f"org.opencontainers.image.created={time}", *given.build]
            words += ["--file", "deploy/Dockerfile", "--target", target, "--tag", reference]
            shell.there("docker", "build", *words, ".")
        check_labels(shell, reference, version=given.version, revision=revision)
    return made


def check_labels(shell: Shell, reference: str, **wanted: str) -> None:
    """Raises if an image was not built from this version and commit."""
    told = shell.there("docker", "image", "inspect", "--format", "{{json .Config.Labels}}", reference)
    labels: dict[str, str] = json.loads(told or "null") or {}
    for name, value in wanted.items():
        was = labels.get(f"org.opencontainers.image.{name}")
        if told and was != value:
            raise ReleaseError(f"{reference} is labelled {name} {was}; it must be {value}")


def digest_of(told: str) -> str:
    """The digest that docker or helm tells after a push."""
    found = re.search(r"(?i)\bdigest: (sha256:[0-9a-f]{64})\b", told)
    if not found:
        raise ReleaseError(f"a push must tell a digest; it said:\n{told}")
    return found[1]


def release(given: argparse.Namespace, out: Path) -> None:
    """All of it; raises `ReleaseError`."""
    shell = Shell(given.dry_run)
    signer = Signer(shell, given.cosign, given.key, given.private)
    check_programs(given)
    chart_version = check_versions(given.version)
    revision, time = check_tree(shell, given.version)
    shutil.rmtree(out, ignore_errors=True)
    (out / "sbom").mkdir(parents=True)

    made = build(shell, given, revision, time)
    for repository, reference in made.items():
        command = ("docker", "run", "--rm", "--network=none", "--entrypoint=cat", reference, SBOM)
        sbom(out, repository).write_text(shell.there(*command))
    digests = {repository: shell.push("docker", "push", reference) for repository, reference in made.items()}
    for repository, digest in digests.items():
        pinned = f"{given.registry}/{repository}@{digest}"
        signer.image(pinned)
        signer.contents(pinned, sbom(out, repository))

    pin(shell, given, digests, out)
    plain = ["--plain-http"] if given.plain_http else []
    package = out / f"timeside-{chart_version}.tgz"
    digest = shell.push(given.helm, "push", package, f"oci://{given.registry}/charts", *plain)
    signer.image(f"{given.registry}/charts/timeside@{digest}")
    write_sums(out)
    signer.file(out / "SHA256SUMS")
    if not given.dry_run:
        print(f"timeside {given.version}, chart {chart_version} ({digest}): {out}")


def sbom(out: Path, repository: str) -> Path:
    """Where it is told what an image holds."""
    return out / "sbom" / f"{Path(repository).name}.cdx.json"


def pin(shell: Shell, given: argparse.Namespace, digests: Digests, out: Path) -> None:
    """Write what names images by digest: for chart, for compose, and the packaged chart."""
    (out / "images.yaml").write_text(yaml.safe_dump(values(given.registry, digests)))
    (out / "compose.images.yml").write_text(override(given.registry, digests))
    with tempfile.TemporaryDirectory() as folder:
        shell.here(given.helm, "package", stage(Path(folder), given.registry, digests), "--destination", out)


def write_sums(out: Path) -> None:
    """SHA256SUMS of all files in a folder, as `sha256sum --check` reads them."""
    paths = sorted(path for path in out.rglob("*") if path.is_file())
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(out)}\n" for path in paths]
    (out / "SHA256SUMS").write_text("".join(lines))


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="scripts/release", description=str(__doc__).splitlines()[0])
    parser.add_argument("version", help="that of pyproject.toml and of the chart's appVersion")
    parser.add_argument("registry", help="where images and chart go: registry.example.org/namespace")
    parser.add_argument("--dry-run", action="store_true", help="show the commands; check what needs no push")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--base", metavar="IMAGE", help="build on this image of Python, named by digest")
    source.add_argument("--from", dest="tag", metavar="TAG", help="take timeside/NAME:TAG, built from this commit")
    signed = parser.add_mutually_exclusive_group(required=True)
    signed.add_argument("--key", help="cosign's private key: a file, env://NAME or that of a KMS")
    signed.add_argument("--unsigned", action="store_true", help="sign nothing")
    parser.add_argument("--private", action="store_true", help="tell no public log of the signatures")
    parser.add_argument(
        "--plain-http", action="store_true", help="push the chart without TLS, to a registry on loopback"
    )
    parser.add_argument("--build", action="append", default=[], metavar="OPTION", help="one more of docker build")
    parser.add_argument("--helm", default=str(ROOT / "build" / "deploy-tools" / "helm-4"), help="the program")
    parser.add_argument("--cosign", default="cosign", help="the program")
    given = parser.parse_args()
    if given.base and not re.search(r"@sha256:[0-9a-f]{64}$", given.base):
        parser.error(f"--base {given.base} must end in a digest: @sha256:…")
    return given


def main() -> None:
    """Do it."""
    given = arguments()
    try:
        if given.dry_run:
            with tempfile.TemporaryDirectory() as folder:
                release(given, Path(folder))
        else:
            release(given, OUT)
    except ReleaseError as error:
        sys.exit(f"No release: {error}")


if __name__ == "__main__":
    main()
