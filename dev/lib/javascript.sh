# shellcheck shell=bash
# What comes from npm, where npm is there (fetched once into the cache, pinned by dev/lib/npm): eslint and prettier for
# JavaScript and style sheets, of which lint.py looks at the syntax without; axe for the accessibility of the portal.

check_javascript() {
    local scripts=() sheets=()
    mapfile -d '' -t scripts < <(git ls-files -z --cached --others --exclude-standard -- '*/static/*.js' eslint.config.mjs)
    mapfile -d '' -t sheets < <(git ls-files -z --cached --others --exclude-standard -- '*/static/*.scss' '*/static/*.css')
    if ! command -v npm >/dev/null || ! npm_packages; then
        note "eslint, prettier: not run (no npm); of JavaScript, only the syntax was checked"
        return
    fi
    local eslint=(node "$NPM/node_modules/eslint/bin/eslint.js" --max-warnings 0 --no-warn-ignored)
    local prettier=(node "$NPM/node_modules/prettier/bin/prettier.cjs" --log-level warn)
    if [ -n "$FIX" ]; then
        local listed=() fixed=() file
        mapfile -d '' -t listed < <(git ls-files -z --cached --others --exclude-standard -- "${FIX_PATHS[@]}")
        for file in ${listed+"${listed[@]}"}; do
            case $file in *.js | *.mjs | *.scss | *.css) fixed+=("$file") ;; esac
        done
        if [ ${#fixed[@]} -gt 0 ]; then
            spawn "${eslint[@]}" --quiet --fix "${fixed[@]}" >/dev/null || true
            spawn "${prettier[@]}" --write "${fixed[@]}" || true
        fi
    fi
    check "eslint" "${eslint[@]}" "${scripts[@]}"
    check "prettier" "${prettier[@]}" --check "${scripts[@]}" ${sheets+"${sheets[@]}"}
}

npm_packages() {
    local key
    key=$(sha256sum <"$LIB/npm/package-lock.json" | cut -c1-8)
    NPM=$CACHE/npm/$key
    [ -e "$NPM/complete" ] || with_lock npm install_npm_packages
    [ -e "$NPM/complete" ]
}

install_npm_packages() {
    [ ! -e "$NPM/complete" ] || return 0
    rm -rf "$NPM"
    mkdir -p "$NPM"
    cp "$LIB/npm/package.json" "$LIB/npm/package-lock.json" "$NPM/"
    if watched plain "npm packages" env -C "$NPM" npm ci --ignore-scripts --no-audit --no-fund; then
        touch "$NPM/complete"
    fi
}

# Sets INVOICE_PORTAL_AXE, by which the tests find axe.
find_axe() {
    if ! command -v npm >/dev/null; then
        note "axe: not run (no npm); the accessibility of the portal is not checked"
        return
    fi
    npm_packages || fail "npm did not fetch what dev/lib/npm asks for." "Its own words are in $RUN_LOG"
    export INVOICE_PORTAL_AXE=$NPM/node_modules/axe-core/axe.min.js
}
