# Listens for some minutes on ports that nobody uses yet, and tells whoever asks which check, host and port this is.
# Arguments: a word of the check, the name of this host, ports. Ended by ports-close.sh, or by itself.
. facts/base.sh

word=$1 name=$2
shift 2
work=/run/mkectl-check-$word

listens() { printf '%s\n' "$sockets" | grep -q "[:.]$1 "; }

if [ "$(id -u)" != 0 ]; then
    dunno port "listeners need root: let sudo work without a password"
    exit 0
fi
if ! program=$(command -v systemd-socket-activate) || ! here systemd-run; then
    dunno port "this host has no systemd-socket-activate, which is a part of systemd"
    exit 0
fi
if ! sockets=$(within 10 ss -H -l -n -t -p 2>/dev/null); then
    dunno port "this host has no ss, so nobody knows which ports are free"
    exit 0
fi
mkdir -p "$work" && cat >"$work/answer.sh" <<EOT
while IFS= read -r line; do
    case \$line in ? | '') break ;; esac
done
printf 'HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n%s %s %s\n' '$word' '$name' "\$1"
EOT
list port
for port in "$@"; do
    if listens "$port"; then
        has port "$port${tab}taken"
    elif said=$(within 20 systemd-run --quiet --collect --unit="mkectl-check-$port" --property=RuntimeMaxSec=300 \
        "$program" --accept --inetd --listen="$port" /bin/sh "$work/answer.sh" "$port" 2>&1); then
        has port "$port${tab}listening"
    else
        has port "$port${tab}failed${tab}$(printf '%s' "$said" | tail -n 1)"
    fi
done
