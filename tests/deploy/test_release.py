"""What a release would do, and what it refuses, in a clone; what it leaves is taken by chart and compose."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.deploy import chart
from tests.deploy.chart import NEEDED, Object, render

from deploy import release

REGISTRY = "registry.example.org/audio"
ABOUT: Object = yaml.safe_load((chart.CHART / "Chart.yaml").read_text())
VERSION: str = ABOUT["appVersion"]
DIGESTS = {f"timeside/{name}": f"sha256:{number:064x}" for number, name in enumerate(release.targets(), 1)}
PINNED = {f"{REGISTRY}/{repository}@{digest}" for repository, digest in DIGESTS.items()}
IN_CHART = PINNED - {f"{REGISTRY}/timeside/notebook@{DIGESTS['timeside/notebook']}"}
BASE = "--base=python@sha256:" + 64 * "a"


def git(clone: Path, *words: str) -> str:
    who = (
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@example.org",
        "-c",
        "commit.gpgsign=false",
        "-c",
        "tag.gpgsign=false",
    )
    return subprocess.run(["git", *who, *words], cwd=clone, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with all that a release reads, committed and tagged."""
    clone = tmp_path_factory.mktemp("release") / "clone"
    ignored = shutil.ignore_patterns("__pycache__", ".env", "*.whl")
    for name in ("deploy", "scripts"):
        shutil.copytree(chart.ROOT / name, clone / name, ignore=ignored)
    for name in ("pyproject.toml", ".gitignore"):
        shutil.copy(chart.ROOT / name, clone)
    git(clone, "init", "--quiet")
    git(clone, "add", ".")
    git(clone, "commit", "--quiet", "--message=all")
    git(clone, "tag", f"v{VERSION}")
    return clone


@pytest.fixture
def clone(made: Path, tmp_path: Path) -> Path:
    """One that may be changed."""
    return Path(shutil.copytree(made, tmp_path / "clone"))


def dry(clone: Path, *words: str, version: str = VERSION) -> "subprocess.CompletedProcess[str]":
    command = [
        sys.executable,
        "-m",
        "deploy.release",
        version,
        REGISTRY,
        "--dry-run",
        f"--helm={chart.TOOLS / 'helm-4'}",
        *words,
    ]
    environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=False)


def test_a_clean_clone_shows_the_whole_plan(made: Path) -> None:
    done = dry(made, BASE, "--key=env://KEY", "--build=--pull")
    assert done.stderr == ""
    assert done.returncode == 0
    revision = git(made, "rev-parse", "HEAD").strip()
    plan = [line.removeprefix("$ ") for line in done.stdout.splitlines()]
    for target in release.targets():
        reference = f"{REGISTRY}/timeside/{target}:{VERSION}"
        (built,) = [line for line in plan if f"--target {target} " in line]
        assert built.endswith(f" --tag {reference} .")
        assert f"--build-arg VERSION={VERSION} --build-arg REVISION={revision} " in built
        assert f"--build-arg PYTHON_{BASE.removeprefix('--').replace('base', 'IMAGE')} " in built
        assert "--pull" in built
        pushed = plan.index(f"docker push {reference}")
        signed = plan.index(f"cosign sign --yes --key env://KEY {REGISTRY}/timeside/{target}@{release.UNKNOWN}")
        assert plan.index(built) < pushed < signed
    (pushed,) = [line for line in plan if f"/timeside-{ABOUT['version']}.tgz oci://{REGISTRY}/charts" in line]
    chart_signed = plan.index(f"cosign sign --yes --key env://KEY {REGISTRY}/charts/timeside@{release.UNKNOWN}")
    assert signed < plan.index(pushed) < chart_signed
    assert any(" package " in line for line in plan)
    assert "sign-blob" in plan[-1]
    assert git(made, "status", "--porcelain", "--ignored") == ""


def test_it_is_unsigned_only_where_that_is_said(made: Path) -> None:
    assert "one of the arguments --key --unsigned is required" in dry(made, BASE).stderr
    done = dry(made, "--from=rc", "--unsigned")
    assert done.returncode == 0
    assert "cosign" not in done.stdout
    assert f"docker tag timeside/api:rc {REGISTRY}/timeside/api:{VERSION}" in done.stdout
    assert "docker build" not in done.stdout


def test_a_private_signature_is_in_no_public_log(made: Path) -> None:
    signatures = [
        each for each in dry(made, "--from=rc", "--key=k", "--private").stdout.splitlines() if "cosign" in each
    ]
    assert len(signatures) == 2 * len(release.targets()) + 2
    assert all("--tlog-upload=false" in each for each in signatures)


def test_a_wrong_version_is_refused(made: Path) -> None:
    done = dry(made, BASE, "--unsigned", version="9.9")
    assert done.returncode == 1
    assert re.search(rf"9\.9 must be .*pyproject\.toml, {VERSION}, .*Chart\.yaml, {VERSION}", done.stderr)
    assert done.stdout == ""


def test_a_chart_of_another_version_is_refused(clone: Path) -> None:
    about = clone / "deploy" / "helm" / "timeside" / "Chart.yaml"
    about.write_text(about.read_text().replace(f"appVersion: {VERSION}", "appVersion: 1.0"))
    assert "appVersion of Chart.yaml, 1.0" in dry(clone, BASE, "--unsigned").stderr


def test_what_is_not_committed_is_refused(clone: Path) -> None:
    (clone / "more").touch()
    (clone / "deploy" / "compose.yml").write_text("services: {}\n")
    done = dry(clone, BASE, "--unsigned")
    assert done.returncode == 1
    assert "deploy/compose.yml" in done.stderr
    assert "?? more" in done.stderr


def test_a_commit_without_its_tag_is_refused(clone: Path) -> None:
    git(clone, "tag", "--delete", f"v{VERSION}")
    git(clone, "tag", "other")
    assert f"must have the tag v{VERSION}; it has other" in dry(clone, BASE, "--unsigned").stderr


def test_a_base_without_digest_is_refused(made: Path) -> None:
    done = dry(made, "--base=python:3.13", "--unsigned")
    assert done.returncode == 2
    assert "python:3.13 must end in a digest" in done.stderr


def images(rendered: list[Object]) -> list[str]:
    """Of all containers."""
    specs = [each.get("spec", {}) for each in rendered]
    pods = [spec.get("template", {}).get("spec", spec) for spec in specs]
    return [one["image"] for pod in pods for key in ("containers", "initContainers") for one in pod.get(key, ())]


@pytest.mark.parametrize("helm", [3, 4])
def test_values_pin_every_container(helm: int) -> None:
    found = images(render(NEEDED, release.values(REGISTRY, DIGESTS), helm=helm))
    assert len(found) >= 13
    assert set(found) == IN_CHART


def test_a_tag_and_a_digest_that_are_named_go_before() -> None:
    mine = {"decoder": {"image": {"tag": "mine"}}, "worker": {"image": {"digest": f"sha256:{0:064x}"}}}
    found = set(images(render(NEEDED, release.values(REGISTRY, DIGESTS), mine)))
    assert f"{REGISTRY}/timeside/decoder:mine" in found
    assert f"{REGISTRY}/timeside/worker@sha256:{0:064x}" in found
    tagged = set(images(render(NEEDED, release.values(REGISTRY, DIGESTS), {"image": {"tag": "mine"}})))
    assert tagged == {re.sub("@.*", ":mine", each) for each in IN_CHART}


def test_a_digest_must_be_one() -> None:
    with pytest.raises(chart.ChartError, match="digests"):
        render(NEEDED, release.values(REGISTRY, {"timeside/api": "sha256:1"}))


def test_the_packaged_chart_is_pinned_by_itself(tmp_path: Path) -> None:
    staged = release.stage(tmp_path, REGISTRY, DIGESTS)
    helm = [chart.TOOLS / "helm-4", "template", "t", staged, "--set=kafka.bootstrap=k:9092,store.url=s3://t"]
    rendered = subprocess.run(helm, check=True, capture_output=True, text=True).stdout
    assert set(images(chart.objects(rendered))) == IN_CHART
    about = yaml.safe_load((staged / "Chart.yaml").read_text())
    assert {each["image"] for each in yaml.safe_load(about["annotations"][release.IMAGES_KEY])} == IN_CHART
    del about["annotations"][release.IMAGES_KEY]
    assert about.items() <= {**ABOUT, "annotations": about["annotations"]}.items()


class _Override(yaml.SafeLoader):
    """Reads `!reset` as what it stands before."""


_Override.add_constructor("!reset", lambda loader, node: loader.construct_scalar(node))


def test_compose_pins_all_of_ours_and_builds_none() -> None:
    services = yaml.safe_load((chart.ROOT / "deploy" / "compose.yml").read_text())["services"]
    pinned = yaml.load(release.override(REGISTRY, DIGESTS), _Override)["services"]
    assert pinned.keys() == {name for name, each in services.items() if "IMAGE_TAG" in each["image"]}
    assert {each["image"] for each in pinned.values()} == PINNED
    assert {name for name, each in pinned.items() if "build" in each} == {
        n for n, e in services.items() if "build" in e
    }


def test_sums_are_those_of_sha256sum(tmp_path: Path) -> None:
    (tmp_path / "sbom").mkdir()
    (tmp_path / "sbom" / "api.cdx.json").write_text("{}")
    release.write_sums(tmp_path)
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=tmp_path, check=True, capture_output=True)


def test_a_push_tells_its_digest() -> None:
    digest = DIGESTS["timeside/api"]
    assert release.digest_of(f"a: Pushed\n2.0: digest: {digest} size: 2\n") == digest
    assert release.digest_of(f"Pushed: r/charts/timeside:0.1.0\nDigest: {digest}\n") == digest
    with pytest.raises(release.ReleaseError, match="denied"):
        release.digest_of("denied")


def test_the_chart_tells_of_the_images_that_it_renders() -> None:
    told = yaml.safe_load(ABOUT["annotations"][release.IMAGES_KEY])
    assert {each["image"] for each in told} == set(images(render(NEEDED)))
    assert all(each["image"] == f"timeside/{each['name']}:{VERSION}" for each in told)


def test_the_chart_tells_what_a_catalogue_asks() -> None:
    annotations = ABOUT["annotations"]
    assert annotations["artifacthub.io/license"] in (chart.ROOT / "pyproject.toml").read_text()
    assert annotations["artifacthub.io/prerelease"] == str(bool(re.search(r"a|b|rc|dev", VERSION))).lower()
    changes = yaml.safe_load(annotations["artifacthub.io/changes"])
    assert changes
    assert {each["kind"] for each in changes} <= {"added", "changed", "deprecated", "removed", "fixed", "security"}
    with pytest.raises(chart.ChartError, match=r"1\.29"):
        render(NEEDED, kubernetes="1.29.0")


@pytest.mark.parametrize("script", sorted((chart.ROOT / "scripts").iterdir()), ids=lambda path: path.name)
def test_scripts_are_read_by_sh(script: Path) -> None:
    assert subprocess.run(["sh", "-n", script], capture_output=True, text=True, check=False).stderr == ""
