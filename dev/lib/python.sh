# shellcheck shell=bash
# Virtual environments, shared by all checkouts, keyed by what is in them. The stamp is written last.

# virtualenv NAME REQUIREMENTS-FILE: sets VENV.
virtualenv() {
    local name=$1 requirements=$2 version key
    version=$("$PYTHON" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    key=$({ cat "$requirements"; "$PYTHON" -c 'import sys; print(sys.version, sys.base_prefix)'; } | sha256sum | cut -c1-8)
    VENV=$CACHE/venv/$name-$version-$key
    [ -e "$VENV/complete" ] || with_lock venv build_virtualenv "$name" "$requirements"
}

build_virtualenv() {
    local name=$1 requirements=$2
    [ ! -e "$VENV/complete" ] || return 0
    rm -rf "$VENV"
    mkdir -p "${VENV%/*}"
    "$PYTHON" -m venv "$VENV" || fail "python3 -m venv failed ($PYTHON)." "On Debian and Ubuntu: apt-get install python3-venv"
    if ! watched plain "Python packages ($name)" \
        "$VENV/bin/python" -m pip install --no-input --disable-pip-version-check --progress-bar off \
            --prefer-binary --no-deps -r "$requirements"; then
        fail "the Python packages of ${requirements#"$ROOT"/} could not be installed." \
            "Full log: $RUN_LOG" \
            "Without a network, point pip at a folder of wheels: PIP_NO_INDEX=1 PIP_FIND_LINKS=/folder $0"
    fi
    touch "$VENV/complete"
}
