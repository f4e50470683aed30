# shellcheck shell=bash
# JavaScript and style sheets by eslint and prettier where npm is there (fetched once into the cache, pinned by
# dev/lib/npm). Without npm, lint.py has looked at the syntax.

check_javascript() {
    local scripts=() sheets=()
    mapfile -d '' -t scripts < <(git ls-files -z --cached --others --exclude-standard -- '*/static/*.js' eslint.config.mjs)
    mapfile -d '' -t sheets < <(git ls-files -z --cached --others --exclude-standard -- '*/static/*.scss' '*/static/*.css')
    if ! command -v npm >/dev/null || ! get_linters; then
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

get_linters() {
    local key
    key=$(sha256sum <"$LIB/npm/package-lock.json" | cut -c1-8)
    NPM=$CACHE/npm/$key
    [ -e "$NPM/complete" ] || with_lock npm install_linters
    [ -e "$NPM/complete" ]
}

install_linters() {
    [ ! -e "$NPM/complete" ] || return 0
    rm -rf "$NPM"
    mkdir -p "$NPM"
    cp "$LIB/npm/package.json" "$LIB/npm/package-lock.json" "$NPM/"
    if watched plain "eslint and prettier" env -C "$NPM" npm ci --ignore-scripts --no-audit --no-fund; then
        touch "$NPM/complete"
    fi
}
