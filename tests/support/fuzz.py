"""Requests that are drawn from the OpenAPI document, valid and not, against a platform that runs.

    python -m tests.support.fuzz [--seconds 900]

No answer may be a mistake of ours (5xx), and each must be as the document says: status, type, fields.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import httpx
from tests.support.up import Platform, up

ROOT = Path(__file__).parents[2]
PASSWORD = "a password of the fuzzer"
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "ignored_auth",
)
ENDLESS = ("events_stream", "task_stream", "result_stream", "track_stream")
"""They answer as long as there is somebody who listens."""
_UNLIMITED = {"TIMESIDE_HTTP_REQUESTS_PER_S": "100000", "TIMESIDE_HTTP_REQUESTS_BURST": "100000"}


def fuzz(folder: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    """Bring a platform up in a folder, and send it what the options say."""
    with up(folder / "home", **_UNLIMITED) as platform:
        key = _key(platform)
        done = subprocess.run(
            [*_command(platform.url, key), *options],
            cwd=folder,
            env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.support.fuzz_hooks", "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        platform.stop()
    return done


def _command(url: str, key: str) -> Sequence[str]:
    excluded = [word for name in ENDLESS for word in ("--exclude-operation-id", name)]
    return [
        *(sys.executable, "-m", "schemathesis.cli", "run", f"{url}/openapi.json", "--url", url),
        *("--header", f"Authorization: Bearer {key}", "--checks", ",".join(CHECKS), *excluded),
        *("--request-timeout", "30", "--continue-on-failure", "--no-shrink", "--no-color", "--warnings", "off"),
        *("--suppress-health-check", "all"),
    ]


def _key(platform: Platform) -> str:
    """An administrator's key, so that nothing is closed; signing out does not end it."""
    with httpx.Client(base_url=platform.url, timeout=60) as client:
        change = {"name": "admin", "password": platform.first_password, "new_password": PASSWORD}
        token = client.post("/v1/auth/password", json=change).raise_for_status().json()["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        return client.post("/v1/api-keys", json={"name": "fuzz"}, headers=headers).raise_for_status().json()["key"]


def main() -> int:
    """Fuzz for so long; the status tells whether nothing was found."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=900)
    parser.add_argument("--seed", type=int, default=440)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="timeside-fuzz-") as folder:
        done = fuzz(Path(folder), "--max-time", str(arguments.seconds), "--seed", str(arguments.seed))
    print(done.stdout, done.stderr, sep="\n")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
