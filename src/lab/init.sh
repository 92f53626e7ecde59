# shellcheck shell=sh
# Builds the root of one simulated host and becomes its process 1. Runs in fresh mount and pid namespaces (and, for an
# ordinary user, in a user namespace that makes the user root).
#
# Two layers of namespaces on purpose. Mounts are made here, in the outer ones; the host's commands run in an inner user
# and mount namespace, where the kernel locks what was mounted outside: no command, root as it is there, can unmount a
# mask, make a device node, load a module, set the clock or reach the machine's own file systems.
#
# Arguments: DIRECTORY BASE BINARY SOCKET NAME ADDRESS OPTIONS BROUGHT. Says `ready PID` (the pid as the machine sees it) on
# standard output. Lives until standard input ends, so it cannot outlive who started it.
set -eu
dir=$1 base=$2 binary=$3 socket=$4 name=$5 address=$6 options=$7 brought=$8
root=$dir/root
umask 022
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH
read -r pid _ </proc/self/stat
read -r _ _ count </proc/self/uid_map

# overlay NAME MOUNTPOINT LOWER: what changes below MOUNTPOINT is in upper/NAME.
overlay() {
	mkdir -p "$dir/upper/$1" "$dir/work/$1"
	mount -t overlay overlay -o "${options}lowerdir=$3,upperdir=$dir/upper/$1,workdir=$dir/work/$1" "$root$2"
}

mkdir -p "$root"
overlay root '' "$dir/seed:$base"
for top in usr bin sbin lib lib32 lib64 libx32; do
	if [ -d "/$top" ] && [ ! -L "/$top" ]; then
		overlay "$top" "/$top" "$base/$top:/$top"
	fi
done
# Nothing of what an administrator of this machine installed belongs to a simulated host.
overlay usr-local /usr/local "$dir/seed/usr/local:$base/usr/local"

mount -t tmpfs -o mode=755 lab-dev "$root/dev"
for node in null zero full random urandom tty; do
	: >"$root/dev/$node"
	mount --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 lab-pts "$root/dev/pts"
mount -t tmpfs -o mode=1777 lab-shm "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
ln -s fd/0 "$root/dev/stdin"
ln -s fd/1 "$root/dev/stdout"
ln -s fd/2 "$root/dev/stderr"

mount -t tmpfs -o mode=755 lab-run "$root/run"
mkdir "$root/run/lock"
mount -t tmpfs -o mode=1777 lab-tmp "$root/tmp"

mount -t tmpfs -o mode=755 lab "$root/.lab"
: >"$root/.lab/mkectl"
: >"$root/.lab/socket"
mount --bind "$binary" "$root/.lab/mkectl"
mount -o remount,bind,ro "$root/.lab/mkectl"
mount --bind "$socket" "$root/.lab/socket"
mkdir "$root/.lab/bin"
for program in $brought; do
	ln -s ../mkectl "$root/.lab/bin/$program"
done
printf '%s\n' "$name" >"$root/.lab/name"
mount -o remount,bind,ro "$root/.lab"

mount -t proc proc "$root/proc"
for mask in sysrq-trigger kcore kmsg timer_list keys kpagecount kpageflags kpagecgroup; do
	if [ -e "$root/proc/$mask" ]; then
		mount --bind /dev/null "$root/proc/$mask"
	fi
done
for fixed in sys irq bus fs acpi scsi tty driver; do
	if [ -d "$root/proc/$fixed" ]; then
		mount --bind "$root/proc/$fixed" "$root/proc/$fixed"
		mount -o remount,bind,ro "$root/proc/$fixed"
	fi
done

cd "$root"
pivot_root . .old
cd /
umount -l /.old

# Only a process outside the inner user namespace may say who is who in it.
outer=$(readlink /proc/self/ns/user)
(
	while [ "$(readlink /proc/1/ns/user)" = "$outer" ]; do sleep 0.01; done
	printf '%s' "0 0 $count" >/proc/1/uid_map
	printf '%s' "0 0 $count" >/proc/1/gid_map
) &

# shellcheck disable=SC2016
# The programs after `exec` run first without a user id, then as root of the inner namespace. Process 1 ends with its
# standard input and not with a `kill -9 -1` from inside, and its `wait` collects processes that lost their parent.
exec unshare --user --mount --net --uts --ipc --propagation unchanged sh -c '
	while [ -z "$(cat /proc/self/gid_map)" ]; do sleep 0.01; done
	exec sh -c "$@"
' sh '
	pid=$1 name=$2 address=$3
	hostname "$name" || exit 1
	# Not what stands in for it under /usr/local.
	PATH=/usr/sbin:/usr/bin:/sbin:/bin
	if command -v ip >/dev/null; then
		ip link set lo up
		[ -z "$address" ] || ip address add "$address" dev lo
	fi
	echo "ready $pid"
	exec 3<&0 </dev/null >/dev/null 2>&1
	until
		cat <&3 &
		wait $!
	do :; done
' sh "$pid" "$name" "$address"
