# To be sourced. `exclusive DIRECTORY` waits until no other process has it, and has it until this shell ends.
exclusive() {
    mkdir -p "$(dirname "$1")"
    until mkdir "$1" 2>/dev/null; do
        if ! kill -0 "$(cat "$1/pid" 2>/dev/null)" 2>/dev/null; then
            # It has ended without taking its lock away, or has not written its number yet.
            sleep 1
            kill -0 "$(cat "$1/pid" 2>/dev/null)" 2>/dev/null || rm -rf "$1"
        fi
        sleep 1
    done
    # shellcheck disable=SC2064
    trap "rm -rf '$1'" EXIT
    trap 'exit 130' INT TERM
    echo $$ >"$1/pid"
}
