# The last line of every script.
case ${1:-} in
probe | run | verify | undo) "$1" ;;
*)
    warn "call this with probe, run, verify or undo"
    exit 64
    ;;
esac
