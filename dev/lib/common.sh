# shellcheck shell=bash
# Shared by the scripts in dev/: names, messages, locks, children and the clean-up at the end.

set -euo pipefail

# Started in the background by a script, we would be deaf to Ctrl-C's signal, and so would all we start: begin again
# with ears.
if (( 0x$(awk '/^SigIgn/ { print $2 }' "/proc/$$/status") & 2 )); then
    exec env --default-signal=INT "$0" "$@"
fi

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
LIB=$ROOT/dev/lib
# shellcheck disable=SC2034  # read by database.sh
ODOO_SERIES=19.0

# ------------------------------------------------------------------ messages
say()  { printf '%s\n' "$*" >&2; }
step() { printf '== %s\n' "$*" >&2; }
note() { printf '   %s\n' "$*" >&2; }
fail() { printf '\nCannot go on: %s\n' "$1" >&2; shift; for line in "$@"; do printf '  %s\n' "$line" >&2; done; exit 1; }

# The comment at the top of a script is its help.
print_help() { sed -n '2,/^\($\|[^#]\)/{/^#/{s/^# \{0,1\}//;p}}' "$0"; exit "${1:-0}"; }

# ------------------------------------------------------------------ places
# CACHE is shared by all checkouts of this user (Odoo, Python packages); STATE belongs to this checkout.
am_root() { [ "$(id -u)" = 0 ]; }
if [ -n "${INVOICE_PORTAL_CACHE:-}" ]; then
    CACHE=$INVOICE_PORTAL_CACHE
elif am_root; then
    CACHE=/var/cache/invoice-portal
else
    HOME=${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}
    CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/invoice-portal
fi
ID=$(printf %s "$ROOT" | sha256sum | cut -c1-8)
STATE=$CACHE/checkouts/$ID
LOGS=$STATE/log
mkdir -p "$LOGS" 2>/dev/null || fail "no right to write in $CACHE." "Name another folder: INVOICE_PORTAL_CACHE=/some/folder $0"
printf '%s\n' "$ROOT" >"$STATE/checkout"

# ------------------------------------------------------------------ locks
# with_lock NAME COMMAND...: one at a time among all checkouts. The lock is held by an open file, so it ends with us.
with_lock() {
    local file=$CACHE/$1.lock fd
    shift
    exec {fd}>"$file"
    if ! flock -n "$fd"; then
        note "waiting for another run that is doing the same ($file) …"
        flock "$fd"
    fi
    "$@"
    exec {fd}>&-
}

# ------------------------------------------------------------------ children
# A child runs in a session of its own, so that Ctrl-C reaches only us, and we end it and all it started.
# It is also told to end when we are killed outright.
CHILD=
spawn() {
    local status=0
    setsid setpriv --pdeathsig TERM "$@" &
    CHILD=$!
    wait "$CHILD" || status=$?
    CHILD=
    return "$status"
}

end_child() {
    [ -n "$CHILD" ] || return 0
    local pid=$CHILD
    CHILD=
    kill -TERM "$pid" 2>/dev/null || true
    for _ in $(seq 100); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.2
    done
    kill -KILL -- "-$pid" 2>/dev/null || true
    wait "$pid" 2>/dev/null || true
}

# ------------------------------------------------------------------ the end
# on_exit 'command': run at the end, however it comes; the last one registered runs first.
EXIT_COMMANDS=()
on_exit() { EXIT_COMMANDS=("$1" ${EXIT_COMMANDS+"${EXIT_COMMANDS[@]}"}); }

at_exit() {
    local status=$? command
    trap '' INT TERM HUP
    trap - EXIT
    set +e
    end_child
    for command in ${EXIT_COMMANDS+"${EXIT_COMMANDS[@]}"}; do
        eval "$command"
    done
    exit "$status"
}
trap at_exit EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# ------------------------------------------------------------------ watched commands
# watched MODE LABEL COMMAND...: run it with visible progress and a full log in $LOGS; see watch.py.
RUN_LOG=
watched() {
    local mode=$1 label=$2
    shift 2
    RUN_LOG=$LOGS/$(printf %s "$label" | tr -cs 'A-Za-z0-9' '-' | tr 'A-Z' 'a-z' | sed 's/^-*//; s/-*$//').log
    spawn "${PYTHON:-python3}" "$LIB/watch.py" --mode "$mode" --label "$label" --log "$RUN_LOG" \
        ${WATCH_OPTIONS+"${WATCH_OPTIONS[@]}"} -- "$@"
}
