# Makes a backup of MKE 3 with its own command and reads it back. Without it there is no way back after the commit.
. lib/base.sh

image=mirantis/ucp:$MKE_VERSION

probe() { not_done "a backup is only made for this run"; }

run() {
    docker image inspect "$image" >/dev/null 2>&1 || docker pull "$image" ||
        later "the image $image is neither here nor to be had: load it with docker load"
    remove_leftover
    # The archive goes to standard output, and the passphrase comes in the environment: neither shows in a list of processes.
    # Labels are off for hosts with SELinux, where the container could not reach Docker's socket.
    if ! (
        UCP_PASSPHRASE=$(cat "$PASSPHRASE_FILE") || exit 1
        export UCP_PASSPHRASE
        docker run --rm --name ucp --log-driver none --security-opt label=disable --env UCP_PASSPHRASE \
            --volume /var/run/docker.sock:/var/run/docker.sock "$image" backup --include-logs=false
    ) >"$MKECTL_WORK/archive.new" 2>"$MKECTL_WORK/log"; then
        rm -f "$MKECTL_WORK/archive.new"
        tail -n 20 "$MKECTL_WORK/log" >&2
        later "the backup command of MKE 3 failed: see the lines above; it writes about as much as the volumes of MKE 3 hold"
    fi
    check "$MKECTL_WORK/archive.new"
    sync
    mv -f "$MKECTL_WORK/archive.new" "$MKECTL_WORK/archive" || fail "cannot keep the backup"
    hand_on archive
}

verify() { check "$MKECTL_WORK/archive"; }

# The archive stays until the plan's files are removed: a backup that is there does no harm.
undo() { remove_leftover; }

# A backup that was interrupted leaves its container, and only one can run at a time.
remove_leftover() {
    if docker inspect --type container ucp >/dev/null 2>&1; then
        docker rm --force ucp >/dev/null || later "cannot remove the container ucp of an interrupted backup"
    fi
}

# FILE: an encrypted archive is a message of OpenPGP, whose first byte has the highest bit set. What it holds can only be
# read with the passphrase, by the restore command of MKE 3 itself.
check() {
    [ -s "$1" ] || fail "the backup command of MKE 3 wrote nothing"
    first=$(od -An -tu1 -N1 "$1") || fail "cannot read the backup"
    [ "$first" -ge 128 ] || fail "the backup is not encrypted: the passphrase did not arrive"
}
. lib/main.sh
