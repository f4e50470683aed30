# shellcheck shell=bash
# The PostgreSQL that PGHOST and friends name, or a private cluster of this checkout: sockets only, kept in $STATE,
# started on demand, stopped by the last script of this checkout that uses it.

PG_DATA=$STATE/postgres
PG_SOCKETS=$STATE/socket
PG_IN_USE=

# Everything in the cluster runs as us, or as the system user postgres when we are root (the server refuses root).
as_postgres() {
    if am_root; then
        (cd / && exec setpriv --reuid=postgres --regid=postgres --init-groups env HOME=/ "$@")
    else
        "$@"
    fi
}

use_postgres() {
    if own_postgres; then
        [ -n "$PG_BIN" ] || fail "PostgreSQL's programs (initdb, pg_ctl) were not found." \
            "Install the server (Debian: postgresql), or name one that runs: PGHOST=… PGUSER=… PGPASSWORD=… $0"
        if am_root && ! id postgres >/dev/null 2>&1; then
            fail "PostgreSQL does not run as root, and there is no system user postgres." "Start $0 as another user."
        fi
        # a socket's path has at most 107 characters
        [ ${#PG_SOCKETS} -lt 85 ] || PG_SOCKETS=/tmp/invoice-portal-$(id -u)-$ID
        on_exit release_cluster
        start_cluster
        export PGHOST=$PG_SOCKETS PGUSER=odoo
        unset PGPORT PGPASSWORD PGDATABASE
    fi
    sql postgres 'SELECT 1' >/dev/null || fail "PostgreSQL does not answer (PGHOST=$PGHOST PGUSER=${PGUSER:-})."
}

# sql DATABASE STATEMENT: prints the bare values.
sql() { PGOPTIONS='-c client_min_messages=warning' psql -X -q -A -t -v ON_ERROR_STOP=1 -d "$1" -c "$2"; }

start_cluster() {
    mkdir -p "$PG_SOCKETS"
    chmod 700 "$PG_SOCKETS"
    ! am_root || chown postgres "$PG_SOCKETS"
    exec 8>"$STATE/postgres.lock"
    flock 8
    if ! cluster_runs; then
        [ -e "$PG_DATA/complete" ] || create_cluster
        # Files of a server that was killed outright. No server runs on this folder: we hold the lock and asked.
        as_postgres rm -f "$PG_SOCKETS"/.s.PGSQL.5432*
        as_postgres "$PG_BIN/pg_ctl" -D "$PG_DATA" -l "$PG_DATA/server.log" -w -t 60 -s start 8>&- >/dev/null ||
            fail "the private PostgreSQL did not start." "Its log: $PG_DATA/server.log" \
                "If its data are damaged, remove $PG_DATA and start again."
    fi
    # in use for as long as this file is open
    exec 9>"$STATE/postgres.users"
    flock -s 9
    PG_IN_USE=1
    exec 8>&-
}

release_cluster() {
    [ -n "$PG_IN_USE" ] || return 0
    PG_IN_USE=
    exec 9>&-
    (
        flock 8
        # nobody else holds it: we are the last
        if flock -n -x 9 && cluster_runs; then
            as_postgres "$PG_BIN/pg_ctl" -D "$PG_DATA" -m fast -w -t 60 -s stop 8>&- 9>&-
        fi
    ) 8>"$STATE/postgres.lock" 9>"$STATE/postgres.users"
}

cluster_runs() { as_postgres "$PG_BIN/pg_ctl" -D "$PG_DATA" status >/dev/null 2>&1; }

create_cluster() {
    step "Creating a private PostgreSQL cluster"
    rm -rf "$PG_DATA"
    mkdir -m 700 "$PG_DATA"
    ! am_root || chown postgres "$PG_DATA"
    as_postgres "$PG_BIN/initdb" -D "$PG_DATA" -U odoo -A trust -E UTF8 --locale=C.UTF-8 >"$LOGS/initdb.log" 2>&1 ||
        fail "initdb failed." "$(tail -5 "$LOGS/initdb.log")"
    # Test data may be lost; time may not.
    as_postgres tee -a "$PG_DATA/postgresql.conf" >/dev/null <<-EOF
		listen_addresses = ''
		unix_socket_directories = '$PG_SOCKETS'
		unix_socket_permissions = 0700
		port = 5432
		max_connections = 100
		shared_buffers = 256MB
		work_mem = 16MB
		fsync = off
		synchronous_commit = off
		full_page_writes = off
		max_wal_size = 1GB
		wal_level = minimal
		max_wal_senders = 0
		logging_collector = off
	EOF
    as_postgres touch "$PG_DATA/complete"
}
