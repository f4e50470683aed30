# shellcheck shell=bash
# Odoo 19: the one named by ODOO_HOME, one that Python can import, or one we download once into the cache.
# Sets ODOO_PATH (the folder that holds the package `odoo`), ODOO_ADDONS (more addons folders) and ODOO_VERSION.

# series_at FOLDER: is the package `odoo` in it, and of our series?
series_at() {
    [ -f "$1/odoo/release.py" ] &&
        "$PYTHON" -c 'import runpy, sys; r = runpy.run_path(sys.argv[1]); sys.exit(r["version_info"][:2] != (19, 0))' \
            "$1/odoo/release.py" 2>/dev/null
}

use_odoo() {
    ODOO_PATH=$1
    ODOO_ADDONS=()
    [ ! -d "$1/addons/web" ] || ODOO_ADDONS=("$1/addons")
    local release stamp
    release=$1/odoo/release.py
    # a checkout moves without changing its release number: add its commit
    stamp=$(git -C "$1" rev-parse --short HEAD 2>/dev/null || true)
    ODOO_VERSION=$("$PYTHON" -c 'import runpy, sys; print(runpy.run_path(sys.argv[1])["version"])' "$release")${stamp:+-$stamp}
}

find_odoo() {
    local folder
    if [ -n "${ODOO_HOME:-}" ]; then
        for folder in "$ODOO_HOME" "$ODOO_HOME/usr/lib/python3/dist-packages" "$ODOO_HOME/lib/python3/dist-packages"; do
            if series_at "$folder"; then use_odoo "$(cd "$folder" && pwd -P)"; return; fi
        done
        fail "ODOO_HOME=$ODOO_HOME holds no Odoo $ODOO_SERIES." \
            "It should name a checkout of Odoo's branch $ODOO_SERIES, or an unpacked odoo-19 package."
    fi
    folder=$(cd / && "$PYTHON" -c \
        'import os, odoo.release as r; print(os.path.dirname(os.path.dirname(os.path.realpath(r.__file__))))' 2>/dev/null || true)
    if [ -n "$folder" ] && series_at "$folder"; then use_importable "$folder"; return; fi
    [ -e "$CACHE/odoo/complete" ] || with_lock odoo download_odoo
    folder=$(cat "$CACHE/odoo/complete")
    fill_gap "$folder"
    use_odoo "$folder"
}

# Debian's package leaves one file of the web client out (background blur in calls). The browser reports it on every
# page, which fails every tour: an empty one will do.
fill_gap() {
    local file=$1/odoo/addons/mail/static/lib/selfie_segmentation/selfie_segmentation.js
    [ ! -d "$1/odoo/addons/mail" ] || [ -e "$file" ] || { mkdir -p "${file%/*}" && : >"$file"; }
}

# The rest of a site-packages folder must not hide the packages of our environment: show only `odoo` of it.
use_importable() {
    case $1 in
        *-packages)
            rm -rf "$STATE/importable"
            mkdir -p "$STATE/importable"
            ln -s "$1/odoo" "$STATE/importable/odoo"
            use_odoo "$STATE/importable" ;;
        *) use_odoo "$1" ;;
    esac
}

download_odoo() {
    [ ! -e "$CACHE/odoo/complete" ] || return 0
    local target=$CACHE/odoo free
    free=$(df -Pm "$CACHE" | awk 'NR == 2 { print $4 }')
    [ "$free" -gt 2500 ] || fail "Odoo needs about 2.5 GB in $CACHE, and $free MB are free." \
        "Make room, or name another folder: INVOICE_PORTAL_CACHE=/some/folder $0"
    rm -rf "$target"
    mkdir -p "$target"
    local folder
    if debian_archive >/dev/null && download_debian "$target/package"; then
        folder=$target/package/usr/lib/python3/dist-packages
    elif download_git "$target/checkout"; then
        folder=$target/checkout
    else
        fail "Odoo $ODOO_SERIES could not be downloaded." \
            "Tried: package odoo-19 of Debian's suite sid (on Debian), then a shallow clone of github.com/odoo/odoo." \
            "Check the network, or name a copy that you have: ODOO_HOME=/path/to/odoo $0"
    fi
    series_at "$folder" || fail "what was downloaded is not Odoo $ODOO_SERIES." "Remove $target and start again."
    printf '%s\n' "$folder" >"$target/complete.new"
    mv "$target/complete.new" "$target/complete"
}

# The Debian mirror that this machine's apt uses already.
debian_archive() {
    command -v apt-get >/dev/null || return 1
    apt-get indextargets 'Created-By: Packages' --format '$(ORIGIN)|$(COMPONENT)|$(CODENAME)|$(REPO_URI)' 2>/dev/null |
        awk -F'|' '$1 == "Debian" && $2 == "main" && $3 !~ /-/ { print $4; found = 1; exit } END { exit !found }'
}

# Debian's package of Odoo 19 is in its suite sid. Fetch and unpack it beside the system: a private apt configuration
# knows sid, the system's own does not, and nothing is installed. The package links to fonts and scripts of others.
FROM_SID=(odoo-19 libjs-jquery libjs-underscore libjs-jquery-form fonts-roboto-unhinted fonts-montserrat fonts-ocr-b
    fonts-glyphicons-halflings)
FROM_STABLE=(fonts-font-awesome fonts-inconsolata)
STABLE=trixie

download_debian() {
    local target=$1 apt=$1.apt package
    local packages=("${FROM_SID[@]/%//sid}" "${FROM_STABLE[@]/%//$STABLE}")
    rm -rf "$target" "$apt"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial" "$apt/debs" "$target"
    local archive
    archive=$(debian_archive)
    for package in sid "$STABLE"; do
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $archive $package main"
    done >"$apt/sources.list"
    : >"$apt/status"
    cat >"$apt/apt.conf" <<-EOF
		Dir::Etc::sourcelist "$apt/sources.list";
		Dir::Etc::sourceparts "/dev/null";
		Dir::Etc::preferences "/dev/null";
		Dir::Etc::preferencesparts "/dev/null";
		Dir::State "$apt";
		Dir::State::lists "$apt/lists";
		Dir::State::status "$apt/status";
		Dir::Cache "$apt/cache";
		Acquire::Languages "none";
		Acquire::Retries "3";
		APT::Sandbox::User "$(id -un)";
		#clear APT::Update::Post-Invoke;
		#clear APT::Update::Post-Invoke-Success;
		#clear Acquire::IndexTargets::deb::Contents-deb;
		#clear Acquire::IndexTargets::deb::DEP-11;
	EOF
    watched plain "Package lists of Debian sid" apt-get -q -c "$apt/apt.conf" update || return 1
    watched plain "Odoo 19 (about 125 MB)" env -C "$apt/debs" apt-get -q -c "$apt/apt.conf" download "${packages[@]}" || return 1
    step "Unpacking Odoo"
    for package in "$apt"/debs/*.deb; do
        spawn dpkg-deb -x "$package" "$target" || return 1
    done
    rm -rf "$apt"
}

download_git() {
    local target=$1
    if ! command -v git >/dev/null; then
        WANTED=(git)
        as_admin 'install git' env DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends git || return 1
    fi
    rm -rf "$target"
    watched plain "Odoo 19 (shallow clone)" \
        git clone --progress --depth 1 --branch "$ODOO_SERIES" https://github.com/odoo/odoo "$target"
}
