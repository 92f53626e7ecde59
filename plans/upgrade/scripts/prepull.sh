# Brings the images that k0s and the pods of this host will need, as archives that k0s reads when it starts. How long the
# outage is depends on this more than on anything else.
. lib/base.sh

images=$DATA_DIR/images

probe() {
    here=0 missing=
    if [ -e "$MKECTL_WORK/wanted" ]; then
        while read -r image; do
            archive_of "$image"
            if [ -e "$archive" ]; then here=$((here + 1)); else missing=$image; fi
        done <"$MKECTL_WORK/wanted"
    fi
    [ "$here" -gt 0 ] || not_done "no images are here"
    [ -z "$missing" ] || partly_done "the image $missing is missing"
    is_done
}

run() {
    list_wanted
    # Users of k0s read in its directory.
    (umask 022 && mkdir -p "$images") || fail "cannot make $images"
    while read -r image; do
        archive_of "$image"
        if [ -e "$archive" ]; then continue; fi
        # From a run that was undone.
        if [ -e "$images.$tag/${archive##*/}" ]; then
            mv "$images.$tag/${archive##*/}" "$archive" || fail "cannot take $archive back"
            continue
        fi
        bring "$image"
    done <"$MKECTL_WORK/wanted"
}

verify() {
    while read -r image; do
        archive_of "$image"
        tar -tf "$archive" >/dev/null || fail "$archive is not whole: remove it and try again"
    done <"$MKECTL_WORK/wanted"
}

# Archives of this plan go aside, and what was pulled for them goes from Docker.
undo() {
    if [ -e "$MKECTL_WORK/pulled" ]; then
        while read -r image; do forget "$image"; done <"$MKECTL_WORK/pulled"
        rm -f "$MKECTL_WORK/pulled"
    fi
    for archive in "$images"/mkectl-*.tar "$images"/mkectl-*.tar.new; do
        if [ ! -e "$archive" ]; then continue; fi
        mkdir -p "$images.$tag" || fail "cannot make $images.$tag"
        mv -f "$archive" "$images.$tag/" || fail "cannot move $archive aside"
    done
    # Only when nothing else is in them.
    rmdir "$images" "$DATA_DIR" 2>/dev/null || :
}

# IMAGE: sets archive.
archive_of() { archive=$images/mkectl-$(printf '%s' "$1" | tr '/:@' '___').tar; }

# What k0s itself needs, from the registry of the plan, and what the users' pods on this host use. Pods of MKE 3 are
# replaced, so their images are not brought.
list_wanted() {
    "$K0S" airgap list-images >"$MKECTL_WORK/list" || unplanned "k0s does not list the images that it needs"
    : >"$MKECTL_WORK/wanted.new"
    while read -r image; do
        # Only the host part is replaced, as k0s does with its setting for the repository.
        if [ -n "$IMAGE_REGISTRY" ]; then image=$IMAGE_REGISTRY/${image#*/}; fi
        echo "$image"
    done <"$MKECTL_WORK/list" >>"$MKECTL_WORK/wanted.new"

    docker ps --filter label=io.kubernetes.pod.uid --format '{{.Image}}' >"$MKECTL_WORK/list" ||
        later "Docker does not list its containers"
    sort -u "$MKECTL_WORK/list" >"$MKECTL_WORK/used"
    while read -r image; do
        # The kubelet starts containers by the id of their image; an archive needs the name.
        docker image inspect --format '{{range .RepoTags}}{{println .}}{{end}}' "$image" >"$MKECTL_WORK/names" 2>/dev/null ||
            continue
        while read -r name; do
            case $name in
            '' | */ucp-* | ucp-*) ;;
            *) echo "$name" ;;
            esac
        done <"$MKECTL_WORK/names"
    done <"$MKECTL_WORK/used" >>"$MKECTL_WORK/wanted.new"
    sort -u "$MKECTL_WORK/wanted.new" >"$MKECTL_WORK/wanted"
}

# IMAGE: makes its archive.
bring() {
    if ! docker image inspect "$1" >/dev/null 2>&1; then
        # Written down before, so that the undo knows.
        echo "$1" >>"$MKECTL_WORK/pulled" || fail "cannot write in $MKECTL_WORK: is the disk full?"
        docker pull --quiet "$1" >/dev/null || cannot_bring "$1"
    fi
    size=$(docker image inspect --format '{{.Size}}' "$1") || fail "Docker lost the image $1"
    check_space "$size"
    docker save --output "$archive.new" "$1" || later "cannot save the image $1"
    sync "$archive.new" 2>/dev/null || sync
    mv -f "$archive.new" "$archive" || fail "cannot keep $archive"
    if [ -e "$MKECTL_WORK/pulled" ] && grep -qxF "$1" "$MKECTL_WORK/pulled"; then forget "$1"; fi
}

cannot_bring() {
    if [ "$AIRGAPPED" = true ]; then
        later "the image $1 is not to be had: mirror it into the registry of the plan, or load it with docker load"
    fi
    later "the image $1 is not to be had: see the line above; is the registry reachable, and Docker logged in to it?"
}

# IMAGE: takes it from Docker again. Docker keeps it when a container has come to use it.
forget() { docker image rm "$1" >/dev/null 2>&1 || :; }

# BYTES: the archive and what k0s unpacks from it must leave more free than the kubelet does, which removes images and pods
# where less than 15 % are.
check_space() {
    df -Pk "$images" >"$MKECTL_WORK/df" || fail "cannot ask for the free space under $images"
    { read -r _ && read -r _ total _ free _; } <"$MKECTL_WORK/df" || fail "cannot read what df says"
    if [ $((free - $1 * 3 / 1024)) -lt $((total * 15 / 100)) ]; then
        unplanned "too little space for images under $images: $((free / 1024)) MiB are free, and 15 % of $((total / 1024)) MiB must stay free"
    fi
}
. lib/main.sh
