# Sourced by scripts/run and scripts/test: bring the commands that the job needs, or say which are missing.
# Each argument is COMMAND=DEBIAN-PACKAGE; as root on Debian missing packages are installed.

cd "$(dirname "$0")/.." || exit 1

python_found() {  # the newest interpreter that is 3.11 or later and can make a virtual environment
    for candidate in python3.13 python3.12 python3.11 python3; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            echo "$candidate"
            return 0
        fi
    done
    return 1
}

need() {
    missing=""
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null 2>&1 || missing="$missing ${pair#*=}"
    done
    python_found >/dev/null || missing="$missing python3 python3-venv"
    [ -z "$missing" ] && return 0
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        echo "Installing with apt-get:$missing"
        # shellcheck disable=SC2086
        { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing; } \
            >"${TMPDIR:-/tmp}/timeside-apt.log" 2>&1 || {
            tail -n 20 "${TMPDIR:-/tmp}/timeside-apt.log" >&2
            echo "apt-get could not install:$missing" >&2
            exit 1
        }
        return 0
    fi
    echo "Missing, please install (Debian package names):$missing" >&2
    exit 1
}
