"""The platform of `deploy/compose.yml` under a project of its own, on whatever Docker engine the environment names."""

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "compose.yml"
PROJECT = "timeside-test"
START_LIMIT_S = 600.0
SAVED = ("store", "secrets")
"""Volumes, besides the database."""


def is_there() -> bool:
    """Whether there is an engine."""
    return bool(shutil.which("docker")) and not subprocess.run(["docker", "version"], capture_output=True).returncode


class Stack:
    """What one would do with `docker compose` at a terminal."""

    def __init__(self, folder: Path, **settings: str) -> None:
        """Its `.env` lies in a folder; `settings` are what it says."""
        self.env_file = folder / ".env"
        self.files = [FILE]
        self.settings = {"API_PORT": "0", "IMAGE_TAG": "test", **settings}
        self.write_env()

    def write_env(self, **more: str) -> None:
        """Write the settings, and some more."""
        lines = [f"{name}={value}" for name, value in {**self.settings, **more, "ENV_FILE": str(self.env_file)}.items()]
        self.env_file.write_text("\n".join(lines) + "\n")

    def compose(
        self, *arguments: str, check: bool = True, limit_s: float = START_LIMIT_S
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command of compose."""
        command = ["docker", "compose", "--project-name", PROJECT, "--env-file", str(self.env_file)]
        command += [word for file in self.files for word in ("--file", str(file))]
        command += ["--progress", "quiet", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s, cwd=ROOT)
        if check and done.returncode:
            raise AssertionError(
                f"{' '.join(arguments)}: {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
            )
        return done

    def up(self, *arguments: str) -> float:
        """Bring it up; the seconds until all is healthy."""
        began = time.monotonic()
        self.compose("up", "--detach", "--wait", *arguments)
        return time.monotonic() - began

    def down(self, *arguments: str, check: bool = True) -> None:
        """Take it down, with what was started on request."""
        self.compose("--profile", "*", "down", *arguments, check=check)

    def run(self, service: str, *command: str, check: bool = True) -> str:
        """What a command in a running container says."""
        return self.compose("exec", "-T", service, *command, check=check).stdout

    def containers(self, service: str = "") -> list[dict[str, Any]]:
        """Containers, as compose lists them; of one service, oldest first."""
        listed = self.compose("ps", "--all", "--format", "json", *([service] if service else [])).stdout
        return sorted((json.loads(line) for line in listed.splitlines()), key=lambda each: each["Name"])

    def save(self, folder: Path) -> None:
        """Save database, store and secrets, as docs/operations.md says."""
        dump = ("pg_dump", "-U", "timeside", "-Fc", "timeside")
        self._piped(folder / "database.dump", "exec", f"{PROJECT}-postgres-1", *dump)
        for volume in SAVED:
            self._piped(folder / f"{volume}.tar", *_tar(volume, "-cC", "/volume", "."))

    def restore(self, folder: Path) -> None:
        """Put back what was saved, where there is nothing."""
        self.compose("create")  # makes the volumes
        for volume in SAVED:
            self._piped(folder / f"{volume}.tar", *_tar(volume, "-xC", "/volume"), reads=True)
        self.up("postgres")
        put = ("pg_restore", "-U", "timeside", "-d", "timeside", "--exit-on-error")
        self._piped(folder / "database.dump", "exec", "-i", f"{PROJECT}-postgres-1", *put, reads=True)

    def _piped(self, path: Path, *arguments: str, reads: bool = False) -> None:
        """Run a command of Docker that writes a file, or reads it."""
        with path.open("rb" if reads else "wb") as file:
            stdin, stdout = (file, None) if reads else (None, file)
            subprocess.run(["docker", *arguments], check=True, stdin=stdin, stdout=stdout)

    def url(self) -> str:
        """Where the API is."""
        return "http://" + self.compose("port", "api", "8000").stdout.strip()


def docker(*arguments: str, check: bool = True, limit_s: float = 120.0, data: str | None = None) -> str:
    """What a command of Docker says."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=limit_s, input=data)
    if check and done.returncode:
        raise AssertionError(
            f"docker {' '.join(arguments)}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        )
    return done.stdout


def inspected(name: str) -> dict[str, Any]:
    """All that Docker knows of a container or an image."""
    return json.loads(docker("inspect", name))[0]


def _tar(volume: str, *words: str) -> list[str]:
    """A command that has tar look at a volume, as root."""
    options = ["--rm", "--interactive", "--user=0", "--network=none", "--entrypoint=tar"]
    return ["run", *options, f"--volume={PROJECT}_{volume}:/volume", "timeside/api:test", *words]


def wait_healthy(name: str, limit_s: float = 180.0) -> None:
    """Return once a container is healthy."""
    deadline = time.monotonic() + limit_s
    while (state := inspected(name)["State"]).get("Health", {}).get("Status") != "healthy":
        if time.monotonic() > deadline:
            raise AssertionError(
                f"{name} is {state['Status']}, and not healthy: {docker('logs', '--tail', '20', name)}"
            )
        time.sleep(0.5)
