#!/bin/bash
# Facts of N hosts beside other tools, one run: benches/facts.sh N [ROUNDS]   (as root; prints medians in seconds)
#
# Each host is a real OpenSSH server on a loopback address of its own, with its own host key and machine id. All of them share
# this machine's cores with the tools, so the figures are upper bounds and only their ratios mean something. The same
# question is put to every host by every tool: the very bytes that `mkectl facts` sends, taken down on the way; Ansible gathers
# its own facts besides, which is what a playbook would do.
#
# Wants target/release/mkectl, openssh-server, and in $VENV (default: /var/tmp/mkectl-bench) `pip install asyncssh ansible-core`.
# shellcheck disable=SC2016
set -euo pipefail
cd "$(dirname "$0")/.."
n=${1:?how many hosts} rounds=${2:-3}
mkectl=$PWD/target/release/mkectl
venv=${VENV:-/var/tmp/mkectl-bench}
[[ -x $mkectl ]] || { echo "cargo build --release first" >&2; exit 4; }
[[ -x $venv/bin/ansible ]] || { python3 -m venv "$venv" && "$venv/bin/pip" install -q asyncssh ansible-core; }
d=$(mktemp -d)
servers=()
ended() {
    for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null || true; done
    for socket in "$d"/cm-*; do [[ -S $socket ]] && ssh -o ControlPath="$socket" -O exit x 2>/dev/null; done
    rm -rf "$d"
}
trap ended EXIT
address() { echo "127.77.$(($1 / 250)).$(($1 % 250 + 1))"; }

mkdir -p /run/sshd
ssh-keygen -q -t ed25519 -N '' -f "$d/user"
printf 'hosts:\n' >"$d/hosts.yaml"
for ((i = 0; i < n; i++)); do
    a=$(address "$i")
    ssh-keygen -q -t ed25519 -N '' -f "$d/host$i"
    printf '%032x\n' $((i + 1)) >"$d/id$i"
    cat >"$d/config$i" <<-C
	Port 2277
	ListenAddress $a
	HostKey $d/host$i
	AuthorizedKeysFile $d/user.pub
	PidFile none
	StrictModes no
	UsePAM no
	UseDNS no
	PermitRootLogin yes
	MaxStartups 200
	MaxSessions 64
	C
    # A mount namespace of its own, for its own machine id.
    unshare -m sh -c 'mount --make-rprivate / && mount --bind "$1" /etc/machine-id && exec /usr/sbin/sshd -D -f "$2"' \
        sh "$d/id$i" "$d/config$i" 2>/dev/null &
    servers+=($!)
    echo "[$a]:2277 $(cut -d' ' -f1,2 "$d/host$i.pub")" >>"$d/known"
    printf '  - {address: %s, port: 2277, user: root, keyPath: %s/user}\n' "$a" "$d" >>"$d/hosts.yaml"
    echo "$a" >>"$d/list"
done
for ((i = 0; i < n; i++)); do
    for _ in {1..200}; do
        (: <>"/dev/tcp/$(address "$i")/2277") 2>/dev/null && break
        sleep 0.05
    done
done
mkdir -m 700 "$d/home" "$d/home/.ssh"
cp "$d/known" "$d/home/.ssh/known_hosts"
export HOME=$d/home
cat >"$d/ssh_config" <<C
Host *
  User root
  Port 2277
  IdentityFile $d/user
  UserKnownHostsFile $d/known
  StrictHostKeyChecking yes
  LogLevel ERROR
C

# What is asked: taken down by a server that runs it all the same.
sed "s|^ListenAddress.*|ListenAddress 127.78.0.1|" "$d/config0" >"$d/config-tap"
cat >>"$d/config-tap" <<C
ForceCommand printf %s "\$SSH_ORIGINAL_COMMAND" >$d/command; tee $d/question | sh -c "\$SSH_ORIGINAL_COMMAND"
C
/usr/sbin/sshd -D -f "$d/config-tap" 2>/dev/null &
servers+=($!)
sleep 0.5
echo "[127.78.0.1]:2277 $(cut -d' ' -f1,2 "$d/host0.pub")" >>"$d/home/.ssh/known_hosts"
printf 'hosts:\n  - {address: 127.78.0.1, port: 2277, user: root, keyPath: %s/user}\n' "$d" >"$d/tap.yaml"
"$mkectl" facts --hosts-path "$d/tap.yaml" -o "$d/tap.json" >/dev/null 2>"$d/tap.err" || true
[[ -s $d/question && -s $d/command ]] || { cat "$d/tap.err" >&2; exit 1; }
command=$(cat "$d/command")

cat >"$d/peer.py" <<'P'
import asyncio, asyncssh, sys
d, command = sys.argv[1], open(sys.argv[1] + "/command").read()
question = open(d + "/question").read()
async def one(a, width):
    async with width:
        async with asyncssh.connect(a, port=2277, username="root", client_keys=[d + "/user"], known_hosts=d + "/known",
                                    config=None) as c:
            r = await c.run(command, input=question)
            assert "mkectl-facts" in r.stdout, r
async def main():
    width = asyncio.Semaphore(64)
    await asyncio.gather(*(one(a.strip(), width) for a in open(d + "/list")))
asyncio.run(main())
P
printf '[all]\n' >"$d/inventory"
sed "s|\$| ansible_port=2277 ansible_user=root ansible_ssh_private_key_file=$d/user|" "$d/list" >>"$d/inventory"
cat >"$d/ansible.cfg" <<C
[defaults]
inventory = $d/inventory
forks = 64
interpreter_python = /usr/bin/python3
[ssh_connection]
pipelining = True
ssh_args = -F $d/ssh_config -o ControlMaster=auto -o ControlPersist=60s -o ControlPath=$d/cm-a-%h
C

ours() { "$mkectl" facts --hosts-path "$d/hosts.yaml" -o "$d/facts.json" 2>"$d/ours.err"; }
openssh() { xargs -a "$d/list" -P 64 -I@ sh -c 'ssh -F "$0/ssh_config" @ "$1" <"$0/question"' "$d" "$command" >"$d/out"; }
master() {
    xargs -a "$d/list" -P 64 -I@ sh -c 'ssh -F "$0/ssh_config" -o ControlPath="$0/cm-%h" @ "$1" <"$0/question"' "$d" "$command" >"$d/out"
}
asyncssh() { "$venv/bin/python" "$d/peer.py" "$d"; }
ansible_setup() { ANSIBLE_CONFIG=$d/ansible.cfg "$venv/bin/ansible" all -m setup >"$d/out"; }
ansible_raw() { ANSIBLE_CONFIG=$d/ansible.cfg "$venv/bin/ansible" all -m raw -a true >"$d/out"; }

# NAME FUNCTION: median of the rounds, wall time and our own processor time (user and system of the tool and its children).
measure() {
    local i seconds all=()
    for ((i = 0; i < rounds; i++)); do
        TIMEFORMAT='%R %U %S'
        { time "$2" 2>"$d/err"; } 2>"$d/time" || { echo "$1 failed" >&2; tail -n 5 "$d/err" "$d/ours.err" >&2; exit 1; }
        all+=("$(tail -n 1 "$d/time")")
    done
    seconds=$(printf '%s\n' "${all[@]}" | sort -n | sed -n "$(((rounds + 1) / 2))p")
    read -r wall user sys <<<"$seconds"
    printf '| %s | %s | %s |\n' "$1" "$wall" "$(awk "BEGIN { print $user + $sys }")"
}
echo "| $n hosts | wall, s | processor time of the tool, s |"
echo "| --- | --- | --- |"
measure "mkectl facts" ours
measure "asyncssh, 64 at once" asyncssh
measure "OpenSSH, 64 at once" openssh
xargs -a "$d/list" -P 64 -I@ ssh -F "$d/ssh_config" -MNf -o ControlPath="$d/cm-%h" -o ControlPersist=120 @
measure "OpenSSH, open ControlMaster, 64 at once" master
measure "Ansible setup, 64 forks, pipelining" ansible_setup
measure "Ansible raw: true, warm, 64 forks" ansible_raw
