# Sourced by ./mallee and ./test: the virtual environment beside the source, made once, brought up to date when a requirements file
# changes, safe to interrupt at any point (a stamp is written last). Needs $here.

say() { printf '%s\n' "mallee: $*" >&2; }

find_python() {
    local candidate
    # The system's own interpreter first: the cloud process runs without privileges and must be able to reach it.
    for candidate in "${MALLEE_PYTHON:-}" /usr/bin/python3 python3.13 python3.12 python3.11 python3; do
        [ -n "$candidate" ] || continue
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

install_python() {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "installing python3 and python3-venv (apt)"
        apt-get update -q >/dev/null || true
        DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends python3 python3-venv >/dev/null
    else
        say "Python 3.11 or later with its venv module is needed. On Debian or Ubuntu: sudo apt-get install python3 python3-venv"
        exit 1
    fi
}

# ensure_environment FILE...: every requirement of the named files is installed in .venv
ensure_environment() {
    local venv=$here/.venv stamp python wanted file
    wanted=$(cd "$here" && cat "$@" | sha256sum | cut -c1-16)
    stamp=$venv/.ready-$wanted
    [ -e "$stamp" ] && return 0
    mkdir -p "$here/.cache"
    exec 9>"$here/.cache/environment.lock"
    flock 9
    if [ ! -e "$stamp" ]; then
        if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
            python=$(find_python) || { install_python; python=$(find_python); }
            say "making the virtual environment in .venv with $python"
            rm -rf "$venv"
            if ! "$python" -m venv "$venv" >/dev/null 2>&1; then
                rm -rf "$venv"
                install_python
                "$python" -m venv "$venv"
            fi
        fi
        say "installing Python packages ($*)"
        local arguments=()
        for file in "$@"; do arguments+=(-r "$here/$file"); done
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${arguments[@]}" >&2
        # the package is imported from src/, found relative to the environment so that both can be mounted elsewhere
        file=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/mallee-source.pth
        printf '../../../../src\n' >"$file"
        touch "$stamp"
    fi
    flock -u 9
    exec 9>&-
}
