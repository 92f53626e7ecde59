# shellcheck shell=sh
# Makes the layer that all simulated hosts share: an empty system with what programs of this machine need from /etc to
# run, and nothing that says how this machine is set up or holds a secret. Argument: DIRECTORY.
set -eu
base=$1
umask 022
mkdir -p "$base"
cd "$base"
mkdir -p .lab .old boot dev etc/modules-load.d etc/sysctl.d \
	etc/systemd/system/multi-user.target.wants home media mnt opt proc root run srv sys tmp \
	usr/local/bin usr/local/sbin usr/local/lib usr/libexec \
	var/lib var/log var/cache var/spool var/tmp
chmod 0700 root
chmod 1777 tmp var/tmp
ln -s /run var/run
ln -s /run/lock var/lock
for top in bin sbin lib lib32 lib64 libx32; do
	if [ -L "/$top" ]; then
		ln -s "$(readlink "/$top")" "$top"
	elif [ -d "/$top" ]; then
		mkdir "$top"
	fi
done
for file in passwd group nsswitch.conf ld.so.conf ld.so.conf.d ld.so.cache alternatives ssl/certs ssl/openssl.cnf \
	protocols services host.conf gai.conf localtime timezone login.defs iproute2 terminfo; do
	if [ -e "/etc/$file" ]; then
		mkdir -p "etc/$(dirname "$file")"
		cp -a "/etc/$file" "etc/$file"
	fi
done
