# shellcheck shell=bash
# Odoo's configuration for this checkout, and the databases.
#
#   base template    Odoo's modules that our addons depend on; keyed by Odoo, Python packages and list of modules
#   addons template  a copy of base with our addons; keyed by base and their sources
#   test database    a copy of the addons template, dropped after the run
#   demo database    our addons with demo data; kept, and updated when their sources change

DATA=$STATE/data
PREFIX=ip_${ID}

prepare() {
    local what=$1
    system_packages "$what"
    find_odoo
    virtualenv odoo "$LIB/requirements.txt"
    check_external_dependencies
    use_postgres
    ADDONS=$("$PYTHON" "$LIB/addons.py" names)
    [ -n "$ADDONS" ] || fail "there is no addon in $ROOT."
    write_configuration
}

write_configuration() {
    local path=$ROOT folder
    for folder in ${ODOO_ADDONS+"${ODOO_ADDONS[@]}"}; do path=$folder,$path; done
    mkdir -p "$DATA/filestore"
    cat >"$STATE/odoo.conf.new" <<-EOF
		[options]
		addons_path = $path
		data_dir = $DATA
		http_interface = 127.0.0.1
		list_db = False
		workers = 0
		limit_memory_soft = 0
		limit_memory_hard = 0
		limit_time_cpu = 0
		limit_time_real = 0
		limit_time_real_cron = 0
		proxy_mode = False
	EOF
    mv "$STATE/odoo.conf.new" "$STATE/odoo.conf"
}

# odoo_command: the words that start Odoo; they go before its own arguments.
odoo_command() {
    ODOO=(env "PYTHONPATH=$ODOO_PATH${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=
        "$VENV/bin/python" -m odoo)
}

check_external_dependencies() {
    local missing
    missing=$("$VENV/bin/python" "$LIB/addons.py" missing-python)
    [ -z "$missing" ] || fail "the manifests ask for Python packages that are not in the environment: $missing" \
        "Add them, pinned, to dev/lib/requirements.txt."
}

# ------------------------------------------------------------------ databases and their files
exists()    { [ "$(sql postgres "SELECT 1 FROM pg_database WHERE datname = '$1'")" = 1 ]; }
comment_of() { sql postgres "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '$1'"; }
drop()      { sql postgres "DROP DATABASE IF EXISTS \"$1\" WITH (FORCE)"; rm -rf "$DATA/filestore/$1"; }

# copy FROM TO: Odoo never changes a stored file, so its files are linked.
copy() {
    drop "$2"
    sql postgres "CREATE DATABASE \"$2\" TEMPLATE \"$1\" STRATEGY FILE_COPY" 2>/dev/null ||
        sql postgres "CREATE DATABASE \"$2\" TEMPLATE \"$1\""
    [ ! -d "$DATA/filestore/$1" ] || cp -al "$DATA/filestore/$1" "$DATA/filestore/$2"
}

# rename FROM TO [COMMENT]: what is complete gets its name last.
rename() {
    drop "$2"
    [ ! -d "$DATA/filestore/$1" ] || mv "$DATA/filestore/$1" "$DATA/filestore/$2"
    [ -z "${3:-}" ] || sql postgres "COMMENT ON DATABASE \"$1\" IS '$3'"
    sql postgres "ALTER DATABASE \"$1\" RENAME TO \"$2\""
}

# build DATABASE LABEL ARGUMENTS...: run Odoo until its modules are installed.
build() {
    local database=$1 label=$2
    shift 2
    odoo_command
    WATCH_OPTIONS=(--harmless "$LIB/harmless.txt" ${STREAM:+--stream})
    watched build "$label" "${ODOO[@]}" -c "$STATE/odoo.conf" -d "$database" --no-http --max-cron-threads 0 \
        --stop-after-init "$@"
}

# forget_old KIND: keep the two newest databases of a kind.
forget_old() {
    local database
    for database in $(sql postgres "SELECT datname FROM pg_database WHERE datname LIKE '${PREFIX}\\_$1\\_%' ORDER BY oid DESC OFFSET 2"); do
        drop "$database"
    done
}

# ------------------------------------------------------------------ templates
# addons_template: sets TEMPLATE, building what is not there.
addons_template() {
    local needs extra key base previous
    needs=$("$PYTHON" "$LIB/addons.py" needs)
    extra=$("$PYTHON" "$LIB/addons.py" extra test)
    key=$(printf '%s\n' "$ODOO_VERSION" "$needs" "$extra" "${VENV##*/}" | sha256sum | cut -c1-8)
    base=${PREFIX}_base_$key
    TEMPLATE=${PREFIX}_addons_${key}_$("$PYTHON" "$LIB/addons.py" key test)
    # left by a run that was interrupted
    drop "${PREFIX}_building"
    if ! exists "$TEMPLATE"; then
        if ! exists "$base"; then
            step "Building the base template: Odoo's modules (once)"
            build "${PREFIX}_building" "Odoo's modules" -i "$needs,$extra" || return 1
            rename "${PREFIX}_building" "$base"
            forget_old base
        fi
        step "Building the addons template: ${ADDONS//,/, }"
        copy "$base" "${PREFIX}_building"
        build "${PREFIX}_building" "our addons" -i "$ADDONS" || return 1
        previous=$(sql postgres "SELECT datname FROM pg_database WHERE datname LIKE '${PREFIX}\\_addons\\_%' ORDER BY oid DESC LIMIT 1")
        [ -z "$previous" ] || keep_assets "$previous" "${PREFIX}_building"
        rename "${PREFIX}_building" "$TEMPLATE"
        forget_old addons
    fi
}

# keep_assets FROM TO: take over the style sheets and scripts that Odoo put together (half a minute's work). Their
# addresses carry a hash of the sources, so those that are out of date are not used.
keep_assets() {
    local columns='name, type, url, public, mimetype, res_model, res_id, store_fname, checksum, file_size, create_uid, create_date'
    sql "$1" "COPY (SELECT $columns FROM ir_attachment WHERE url LIKE '/web/assets/%' AND store_fname IS NOT NULL) TO STDOUT" \
        >"$STATE/assets"
    sql "$2" "DELETE FROM ir_attachment WHERE url LIKE '/web/assets/%'"
    sql "$2" "COPY ir_attachment ($columns) FROM STDIN" <"$STATE/assets"
    mkdir -p "$DATA/filestore/$2"
    cp -aln "$DATA/filestore/$1/." "$DATA/filestore/$2/"
}

assets_of() { sql "$1" "SELECT md5(string_agg(url, ' ' ORDER BY url)) FROM ir_attachment WHERE url LIKE '/web/assets/%'"; }

free_port() {
    "$PYTHON" - "${1:-0}" <<-'EOF'
		import socket, sys
		port = int(sys.argv[1])
		for number in range(port, port + 100) if port else [0]:
		    with socket.socket() as s:
		        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
		        try:
		            s.bind(("127.0.0.1", number))
		        except OSError:
		            continue
		        print(s.getsockname()[1])
		        break
		else:
		    sys.exit(f"no free port from {port} to {port + 99}")
	EOF
}

# forget_all KIND...: drop all databases of these kinds.
forget_all() {
    local kind database
    for kind in "$@"; do
        for database in $(sql postgres "SELECT datname FROM pg_database WHERE datname LIKE '${PREFIX}\\_$kind\\_%'"); do
            drop "$database"
        done
    done
}
