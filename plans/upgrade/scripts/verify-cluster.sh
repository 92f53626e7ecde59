# Compares the cluster with what it was: the keys at the time of the final snapshot, nodes and workloads, secrets, and who
# gets in. What differs by nature is left out by class and by name.
. lib/base.sh
. lib/k0s.sh
. lib/objects.sh
. lib/access.sh

probe() { not_done "this is only compared"; }

# Kinds of objects that come and go by themselves, that servers and controllers make again, or that belong to others here
# which are compared.
passing="events leases endpoints endpointslices ranges masterleases peerserverleases certificatesigningrequests csinodes
    csistoragecapacities volumeattachments replicasets controllerrevisions flowschemas prioritylevelconfigurations
    podsecuritypolicy
    ipamblocks.crd.projectcalico.org ipamhandles.crd.projectcalico.org blockaffinities.crd.projectcalico.org
    caliconodestatuses.crd.projectcalico.org"

run() {
    rm -rf "${MKECTL_WORK:?}/before"
    mkdir "$MKECTL_WORK/before" || fail "cannot write to $MKECTL_WORK"
    tar -xf "$INVENTORY" -C "$MKECTL_WORK/before" || fail "cannot unpack the inventory"
    # RESOURCE NAMESPACE NAME of what was removed on purpose.
    tar -tf "$REMOVED" >"$MKECTL_WORK/removed.files" || fail "cannot read what was removed"
    awk -F / 'NF == 4 && $4 != "" { print $2, $3, $4 }' "$MKECTL_WORK/removed.files" | sort >"$MKECTL_WORK/removed"
    : >"$MKECTL_WORK/problems"
    wait_for "workloads to be as ready as before" workloads_ready
    keys
    nodes
    secrets
    access
    old_token
    old_certificate
    through_balancer
    if [ -s "$MKECTL_WORK/problems" ]; then
        cat "$MKECTL_WORK/problems" >&2
        fail "the cluster is not as it was: $(grep -c . "$MKECTL_WORK/problems") differences; see the lines above"
    fi
}

problem() { printf '%s\n' "$*" >>"$MKECTL_WORK/problems"; }

# Keys of etcd become RESOURCE NAMESPACE NAME, with - where there is no namespace.
objects_of_keys() {
    awk -F / -v passing="$passing" '
        BEGIN {
            split(passing, list, /[ \n]+/); for (at in list) skip[list[at]]
            plural["minions"] = "nodes"; plural["controllers"] = "replicationcontrollers"; plural["ingress"] = "ingresses"
        }
        $2 != "registry" { next }
        {
            at = 4; resource = $3
            if ($3 ~ /\./) { resource = $4 "." $3; at = 5 }
            if ($3 == "services") { resource = $4 == "specs" ? "services" : "endpoints"; at = 5 }
            if (resource in plural) resource = plural[resource]
            if (resource in skip) next
            # MKE 3 served these itself.
            if (resource ~ /^apiservices\./ && $NF ~ /\.compose\.docker\.com$/) next
            if (NF == at) print resource, "-", $at; else if (NF == at + 1) print resource, $at, $(at + 1)
        }' "$1"
}

keys() {
    objects_of_keys "$KEY_LIST" | sort >"$MKECTL_WORK/keys.before"
    [ -s "$MKECTL_WORK/keys.before" ] || fail "the list of keys at the final snapshot is empty"
    cut -d ' ' -f 1 "$MKECTL_WORK/keys.before" | sort -u >"$MKECTL_WORK/kinds"
    : >"$MKECTL_WORK/keys.found"
    while read -r resource; do
        if ! kube get "$resource" --all-namespaces --no-headers -o custom-columns=NS:.metadata.namespace,NAME:.metadata.name \
            >"$MKECTL_WORK/list" </dev/null; then
            problem "$resource: cannot be listed any more"
            continue
        fi
        awk -v resource="$resource" '{ print resource, $1 == "<none>" ? "-" : $1, $2 }' "$MKECTL_WORK/list" >>"$MKECTL_WORK/keys.found"
    done <"$MKECTL_WORK/kinds"
    sort "$MKECTL_WORK/keys.found" >"$MKECTL_WORK/keys.now"
    comm -23 "$MKECTL_WORK/keys.before" "$MKECTL_WORK/keys.now" >"$MKECTL_WORK/keys.gone"
    comm -23 "$MKECTL_WORK/keys.gone" "$MKECTL_WORK/removed" >"$MKECTL_WORK/keys.missing"
    # A pod of a workload may have another name now, and workloads are counted; a pod of nobody is gone.
    cat "$MKECTL_WORK"/before/deployments "$MKECTL_WORK"/before/statefulsets "$MKECTL_WORK"/before/daemonsets \
        "$MKECTL_WORK"/before/jobs "$MKECTL_WORK"/before/cronjobs >"$MKECTL_WORK/owners" || fail "the inventory has no workloads"
    awk 'FILENAME == ARGV[1] { owner[$1 " " $2]; next }
        $1 == "pods" || $1 == "jobs" {
            name = $3
            while (sub(/-[^-]*$/, "", name)) if (($2 " " name) in owner) next
        }
        { print $1 " " $2 "/" $3 " is missing" }' "$MKECTL_WORK/owners" "$MKECTL_WORK/keys.missing" >>"$MKECTL_WORK/problems"
    say "$(grep -c . "$MKECTL_WORK/keys.before") objects compared"
}

# For wait_for.
workloads_ready() {
    names='{range .items[*]}{.metadata.namespace}{" "}{.metadata.name}{" "}'
    for kind in deployments statefulsets daemonsets; do
        ready='{.status.readyReplicas}'
        [ "$kind" != daemonsets ] || ready='{.status.numberReady}'
        ask get "$kind" --all-namespaces -o "jsonpath=$names$ready{\"\\n\"}{end}" || return 1
        printf '%s\n' "$seen" >"$MKECTL_WORK/ready"
        seen=$(awk -v kind="$kind" '
            FILENAME == ARGV[1] { if ($1 == kind) removed[$2 " " $3]; next }
            FILENAME == ARGV[2] { there[$1 " " $2]; ready[$1 " " $2] = $3 + 0; next }
            {
                key = $1 " " $2
                if (key in removed || $4 + 0 == 0) next
                if (!(key in there)) { print kind " " $1 "/" $2 " is missing"; exit }
                if (ready[key] < $4 + 0) { print kind " " $1 "/" $2 " has " ready[key] " of " $4 " ready"; exit }
            }' "$MKECTL_WORK/removed" "$MKECTL_WORK/ready" "$MKECTL_WORK/before/$kind")
        [ -z "$seen" ] || return 1
    done
}

# Every node under its old name and UID, and no other.
nodes() {
    kube get nodes -o 'jsonpath={range .items[*]}{.metadata.name}{" "}{.metadata.uid}{"\n"}{end}' >"$MKECTL_WORK/list" ||
        later "cannot list nodes"
    sort "$MKECTL_WORK/list" >"$MKECTL_WORK/nodes.now"
    comm -23 "$MKECTL_WORK/before/nodes" "$MKECTL_WORK/nodes.now" | sed 's/^/node missing, or made again: /' >>"$MKECTL_WORK/problems"
    comm -13 "$MKECTL_WORK/before/nodes" "$MKECTL_WORK/nodes.now" | sed 's/^/node that was not there: /' >>"$MKECTL_WORK/problems"
}

# All can be read: one that was written with a key that did not come over fails the whole list.
secrets() {
    kube get secrets --all-namespaces -o 'jsonpath={range .items[*]}{.metadata.namespace}{" "}{.metadata.name}{" "}{.type}{"\n"}{end}' \
        >"$MKECTL_WORK/secrets" || problem "secrets cannot be read"
}

# The sampled users may do what they could do under MKE 3. Who the plan says gains or loses something there may differ, in
# that direction and at that place alone.
access() {
    count_questions
    if [ "$count" -eq 0 ]; then
        say "the plan was made without accounts: who may do what was not compared"
        return 0
    fi
    [ "$(grep -c . "$MKECTL_WORK/before/access")" -eq "$count" ] || fail "the inventory does not tell who could do what"
    questions without | kube create -f - -o "$answers" >"$MKECTL_WORK/access.lines" || later "the API server does not tell who may do what"
    sort "$MKECTL_WORK/access.lines" >"$MKECTL_WORK/access.now"
    awk -F '|' -v count="$MKECTL_WORK/access.count" '
        FILENAME == ARGV[1] {
            split($0, word, " ")
            if (word[1] == "gains" || word[1] == "loses") planned[word[1] " " word[2] " " word[3]]
            next
        }
        { key = $1 "|" $2 "|" $3 "|" $4 "|" $5 }
        FILENAME == ARGV[2] { before[key] = $6; next }
        { now[key] = $6 }
        END {
            for (key in before) {
                split(key, part, "|")
                place = part[2] == "" ? "-" : part[2]
                what = "user " part[1] ": " part[3] " " part[5] (part[2] == "" ? " in all namespaces" : " in " part[2])
                if (!(key in now)) { print what ": not answered"; continue }
                if (now[key] == before[key]) { same++; continue }
                way = now[key] == "true" ? "gains" : "loses"
                if ((way " " part[1] " -") in planned || (way " " part[1] " " place) in planned) { expected++; continue }
                print what (way == "gains" ? ": was refused and is allowed" : ": was allowed and is refused") ", which the plan does not say"
            }
            print same + 0 " answers to who may do what are as before, " expected + 0 " differ as planned" >count
        }' "$ACCESS" "$MKECTL_WORK/before/access" "$MKECTL_WORK/access.now" | sort >>"$MKECTL_WORK/problems"
    cat "$MKECTL_WORK/access.count"
}

# USER: a kubeconfig for this host's API server.
kubeconfig() {
    printf '{"apiVersion": "v1", "kind": "Config", "current-context": "a",
        "clusters": [{"name": "a", "cluster": {"server": "https://localhost:6443", "certificate-authority-data": "%s"}}],
        "users": [{"name": "a", "user": %s}],
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}]}\n' \
        "$(base64 <"$DATA_DIR/pki/ca.crt" | tr -d '\n')" "$1"
}

# The token of a service account of MKE 3 opens the new API. It goes through memory and a pipe alone.
old_token() {
    found=$(awk '$3 == "kubernetes.io/service-account-token" { print $1 " " $2 }' "$MKECTL_WORK/secrets" | head -n 1)
    if [ -z "$found" ]; then
        say "no secret holds the token of a service account: not tried"
        return 0
    fi
    place=${found% *}
    token=$(kube -n "$place" get secret "${found#* }" -o 'jsonpath={.data.token}') || later "cannot read the secret $found"
    token=$(printf '%s' "$token" | base64 -d) || fail "the secret $found holds no token"
    seen=$(kubeconfig "{\"token\": \"$token\"}" |
        "$k0s" kubectl --kubeconfig /dev/stdin auth whoami -o 'jsonpath={.status.userInfo.username}' 2>"$MKECTL_WORK/errors") ||
        seen=$(tail -n 1 "$MKECTL_WORK/errors")
    case $seen in
    "system:serviceaccount:$place:"*) say "$seen gets in with its old token" ;;
    *) problem "the token in the secret $place/${found#* } is not accepted: $seen" ;;
    esac
}

# A client certificate of MKE 3 does not.
old_certificate() {
    certs=$DOCKER_ROOT/volumes/ucp-node-certs/_data
    if [ ! -r "$certs/cert.pem" ] || [ ! -r "$certs/key.pem" ]; then
        say "no client certificate of MKE 3 is here: not tried"
        return 0
    fi
    kubeconfig "{\"client-certificate\": \"$certs/cert.pem\", \"client-key\": \"$certs/key.pem\"}" >"$MKECTL_WORK/old.conf" ||
        fail "cannot write to $MKECTL_WORK"
    if seen=$("$k0s" kubectl --kubeconfig "$MKECTL_WORK/old.conf" auth whoami 2>&1); then
        problem "a client certificate of MKE 3 still opens the API"
        return 0
    fi
    case $seen in
    *Unauthorized*) say "client certificates of MKE 3 are refused" ;;
    *) problem "cannot tell whether client certificates of MKE 3 are refused: $seen" ;;
    esac
}

through_balancer() {
    case $EXTERNAL_ADDRESS in
    *]) server=$EXTERNAL_ADDRESS:6443 ;;
    *]:*) server=$EXTERNAL_ADDRESS ;;
    *:*:*) server="[$EXTERNAL_ADDRESS]:6443" ;;
    *:*) server=$EXTERNAL_ADDRESS ;;
    *) server=$EXTERNAL_ADDRESS:6443 ;;
    esac
    seen=$(kube --server "https://$server" get --raw /readyz 2>"$MKECTL_WORK/errors") || seen=$(tail -n 1 "$MKECTL_WORK/errors")
    [ "$seen" = ok ] || problem "the API cannot be reached through $server: $seen"
}

verify() {
    [ -e "$MKECTL_WORK/problems" ] || fail "nothing was compared"
    [ ! -s "$MKECTL_WORK/problems" ] || fail "the cluster is not as it was; see $MKECTL_WORK/problems"
}
. lib/main.sh
