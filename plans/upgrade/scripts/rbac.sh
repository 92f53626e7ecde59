# Creates users, groups and grants, and touches no object of the same name that is somebody else's. Passwords are the
# hashes that were read from MKE 3.
. lib/base.sh
. lib/k0s.sh
. lib/objects.sh

owner=mkectl

# A line for each object of the plan that is there: kind, namespace, name, who manages it.
list_objects() {
    kube get -f "$RBAC" --ignore-not-found --no-headers \
        -o 'custom-columns=KIND:.kind,NS:.metadata.namespace,NAME:.metadata.name,BY:.metadata.labels.app\.kubernetes\.io/managed-by' \
        >"$MKECTL_WORK/objects"
}

# Objects of the plan that can be made: users without a hash that Dex reads have no password to log in with.
count_wanted() { wanted=$(($(grep -c '^kind: ' "$RBAC") - $(skipped | grep -c .))); }

# Users of the plan whose password cannot be carried over.
skipped() {
    [ -e "${HASHES:-}" ] || return 0
    awk '
        FILENAME == ARGV[1] { if ($2 ~ /^\$2[aby]\$/) hash[$1]; next }
        /^---/ { user = "" }
        /^email: / { user = $2; gsub(/"/, "", user) }
        /^hash: mkectl-secret:/ { if (!(user in hash)) print user }
    ' "$HASHES" "$RBAC"
}

probe() {
    need_k0s
    grep -q '^kind: ' "$RBAC" || is_done
    list_objects || not_done "not all kinds of objects are known yet"
    count_wanted
    ours=$(awk -v owner="$owner" '$4 == owner' "$MKECTL_WORK/objects" | grep -c .)
    [ "$ours" -gt 0 ] || not_done "nothing was created"
    [ "$ours" -ge "$wanted" ] || partly_done "$ours of $wanted objects are there"
    is_done
}

# The objects with hashes in them, which Dex reads in base 64. They go through memory and a pipe alone.
objects() {
    encoded=$(
        while read -r user hash; do
            printf '%s %s\n' "$user" "$(printf '%s' "$hash" | base64 | tr -d '\n')"
        done <"$HASHES"
    ) || return 1
    printf '%s\n' "$encoded" | awk -v rbac="$RBAC" '
        function flush() {
            if (text != "" && !leave) printf "---\n%s", text
            text = ""; leave = 0; user = ""
        }
        { if ($2 ~ /^JDJ[hi5]J/) hash[$1] = $2 }
        END {
            while ((getline line <rbac) > 0) {
                if (line ~ /^---/) { flush(); continue }
                if (line ~ /^email: /) { user = substr(line, 8); gsub(/"/, "", user) }
                if (line ~ /^hash: mkectl-secret:/) {
                    if (user in hash) line = "hash: " hash[user]; else leave = 1
                }
                text = text line "\n"
            }
            flush()
        }'
}

run() {
    grep -q '^kind: ' "$RBAC" || return 0
    list_objects || later "cannot look for objects of the same names"
    others=$(awk -v owner="$owner" '$4 != owner { print $1 " " $2 "/" $3 }' "$MKECTL_WORK/objects")
    if [ -n "$others" ]; then
        warn "$others"
        unplanned "these objects are somebody else's and would be overwritten: rename them, or make a new plan"
    fi
    text=$(objects) || fail "cannot read the password hashes"
    # All are ours. The rules of an aggregated role belong to the controller that fills them in, and it does so again.
    printf '%s\n' "$text" | kube apply --server-side --force-conflicts --field-manager="$owner" -f - ||
        later "not all users, groups and grants could be created"
    for user in $(skipped); do
        say "$user has no hash that Dex can read: an administrator sets a new password"
    done
}

verify() {
    grep -q '^kind: ' "$RBAC" || return 0
    list_objects || later "cannot list what was created"
    count_wanted
    [ "$(grep -c . "$MKECTL_WORK/objects")" -ge "$wanted" ] ||
        fail "of $wanted users, groups and grants only these are there: $(awk '{ print $1, $3 }' "$MKECTL_WORK/objects" | tr '\n' ';')"
    if awk -v owner="$owner" '$4 != owner { found = 1 } END { exit !found }' "$MKECTL_WORK/objects"; then
        fail "not all users, groups and grants are marked as created by $owner"
    fi
    # Users without a password at all have no hash to look at.
    grep -q '^hash: ' "$RBAC" || return 0
    hashes=$(kube get passwords.dex.coreos.com --all-namespaces -o 'jsonpath={.items[*].hash}') || later "cannot read the users"
    case $hashes in *mkectl-secret*) fail "a user was created without a password" ;; esac
}
. lib/main.sh
