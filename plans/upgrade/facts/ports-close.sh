# Ends the listeners of ports-listen.sh. Arguments: a word of the check, ports.
. facts/base.sh

word=$1
shift
list closed
for port in "$@"; do
    if within 10 systemctl is-active --quiet "mkectl-check-$port.service" 2>/dev/null; then
        within 20 systemctl stop "mkectl-check-$port.service" && has closed "$port"
    fi
done
rm -f "/run/mkectl-check-$word/answer.sh"
rmdir "/run/mkectl-check-$word" 2>/dev/null || :
