# shellcheck shell=bash
# Distribution packages: asked for by what is missing, never by habit.

WANTED=()
want() { WANTED+=("$@"); }

find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3 /usr/bin/python3 python3.13 python3.12 python3.11 python3.10; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

find_pg_bin() {
    local folder
    for folder in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV) "$(command -v initdb | xargs -r dirname)"; do
        [ -x "$folder/initdb" ] && [ -x "$folder/pg_ctl" ] && { echo "$folder"; return; }
    done
    return 1
}

own_postgres() { [ -z "${PGHOST:-}${PGSERVICE:-}" ]; }
have_browser() { command -v google-chrome chromium chromium-browser google-chrome-stable >/dev/null; }
has_package()  { [[ $(apt-cache show --no-all-versions "$1" 2>/dev/null) == *Filename:* ]]; }
have_library() { [[ $(PATH=$PATH:/sbin:/usr/sbin ldconfig -p 2>/dev/null) == *"$1"* ]]; }
have_font()    { [ -n "$(find -L /usr/share/fonts /usr/local/share/fonts -name "$1*" -print -quit 2>/dev/null)" ]; }

# Ubuntu's chromium packages only fetch a snap, which does not run everywhere.
has_real_chromium() { has_package chromium && [[ $(apt-cache show chromium 2>/dev/null) != *[Ss]nap* ]]; }

# system_packages test|demo|lint|shell: install what this needs and is not there.
system_packages() {
    local what=$1 update=0
    WANTED=()
    find_python >/dev/null || want python3 python3-venv
    [ -e /etc/ssl/certs/ca-certificates.crt ] || want ca-certificates
    if [ "$what" != lint ]; then
        if own_postgres; then
            find_pg_bin >/dev/null || want postgresql
        else
            command -v psql >/dev/null || want postgresql-client
        fi
        have_library libmagic.so.1 || want libmagic1
        have_library libcairo.so.2 || want libcairo2
        command -v wkhtmltopdf >/dev/null || want wkhtmltopdf
        # WeasyPrint draws with Pango; DejaVu has Arabic, Hebrew, Greek and Cyrillic, Droid Chinese, Japanese and Korean.
        have_library libpango-1.0.so.0 || want libpango-1.0-0
        have_library libpangoft2-1.0.so.0 || want libpangoft2-1.0-0
        have_library libharfbuzz-subset.so.0 || want libharfbuzz-subset0
        have_font DejaVuSans || want fonts-dejavu-core
        have_font DroidSansFallback || have_font NotoSansCJK || want fonts-droid-fallback
        if [ "$what" = test ] && ! have_browser; then
            want chromium
        fi
    fi
    [ ${#WANTED[@]} -gt 0 ] || { find_tools; return 0; }

    if ! command -v apt-get >/dev/null; then
        fail "these are missing, and this system has no apt-get: ${WANTED[*]}" \
            "Install what provides them on this system, then start again."
    fi
    # Without package lists apt knows nothing; fetch them once.
    if ! has_package ca-certificates; then
        as_admin 'fetch the package lists' apt-get -q update
        update=1
    fi
    optional_packages
    if [ ${#WANTED[@]} -gt 0 ]; then
        step "Installing distribution packages: ${WANTED[*]}"
        [[ " ${WANTED[*]} " == *" postgresql "* ]] && no_main_cluster
        if ! install_wanted; then
            [ "$update" = 0 ] || fail "apt-get could not install: ${WANTED[*]}" "Its own words are above."
            note "the package lists may be old: fetching them and trying once more"
            as_admin 'fetch the package lists' apt-get -q update
            install_wanted || fail "apt-get could not install: ${WANTED[*]}" "Its own words are above."
        fi
        [[ " ${WANTED[*]} " == *" postgresql "* ]] && allow_main_cluster
    fi
    find_tools
}

# What we can do without, where the distribution has no such package.
optional_packages() {
    local package kept=()
    for package in "${WANTED[@]}"; do
        case $package in
            wkhtmltopdf)
                has_package wkhtmltopdf || { note "no wkhtmltopdf in this distribution: going on without it"; continue; } ;;
            chromium)
                has_real_chromium || { note "no Chromium package here: browser tours will be skipped (install google-chrome to run them)"; continue; } ;;
            fonts-droid-fallback)
                has_package "$package" || { note "no $package in this distribution: going on without it"; continue; } ;;
            libmagic1)
                has_package libmagic1 || package=libmagic1t64 ;;
        esac
        kept+=("$package")
    done
    WANTED=(${kept+"${kept[@]}"})
}

install_wanted() {
    as_admin 'install packages' env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 install --no-install-recommends "${WANTED[@]}"
}

# as_admin PURPOSE COMMAND...: as root, or by sudo.
as_admin() {
    local purpose=$1
    shift
    if am_root; then
        "$@" </dev/null >&2
    elif command -v sudo >/dev/null; then
        if ! sudo -n true 2>/dev/null && ! [ -t 0 ]; then
            fail "to $purpose, sudo wants a password, and there is no terminal to ask on. Run this once:" "$(admin_line)"
        fi
        sudo "$@" >&2
    else
        fail "to $purpose takes root, and there is no sudo. Have this run once:" "$(admin_line)"
    fi
}

admin_line() {
    printf 'sudo apt-get update && sudo apt-get install --no-install-recommends %s' "${WANTED[*]}"
}

# Debian's server package makes and starts a cluster of its own when first installed. We need only the programs:
# tell it not to, for as long as the installation takes. A cluster that is there already is left alone.
NO_CLUSTER=/etc/postgresql-common/createcluster.d/zz-invoice-portal.conf
no_main_cluster() {
    on_exit allow_main_cluster
    as_admin 'install packages' sh -c \
        "mkdir -p ${NO_CLUSTER%/*} && echo 'create_main_cluster = false' >$NO_CLUSTER"
}
allow_main_cluster() {
    [ ! -e "$NO_CLUSTER" ] || as_admin 'tidy up' rm -f "$NO_CLUSTER"
}

# The tools that the other files use by these names.
find_tools() {
    PYTHON=$(find_python) || fail "no Python from 3.10 to 3.13 with venv was found." \
        "Install python3 and python3-venv, or name one: PYTHON=/path/to/python3.12 $0"
    PG_BIN=$(find_pg_bin || true)
    [ -z "$PG_BIN" ] || PATH=$PG_BIN:$PATH
}
