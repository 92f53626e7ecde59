# Runs the script that the function `facts` prints, as root where that needs no password, else as who we are: then it tells
# what it can. Arguments: a word of the caller that frames the answer, then those of the script.
LC_ALL=C
# sshd gives an ordinary user no sbin.
PATH=${PATH:-/usr/bin:/bin}:/usr/local/bin:/usr/local/sbin:/usr/sbin:/sbin
export LC_ALL PATH

word=$1
shift
# First, so that the caller learns when the host's clock said so.
printf 'mkectl-facts 1 %s %s\n' "$word" "$(date +%s%N)"

privilege=root
if [ "$(id -u)" != 0 ]; then
    # Of `sh`, and not of `true`: this is what the scripts of an upgrade ask sudo for.
    if said=$(sudo -n sh -c : 2>&1); then
        privilege=sudo
    else
        case $said in
        *password*) privilege=sudo-password ;;
        *) privilege=none ;;
        esac
    fi
fi
printf '= privilege %s\n' "$privilege"

# Standard input is what sshd still sends; nothing on the host may read it.
if [ "$privilege" = sudo ]; then
    facts | sudo -n sh -s -- "$@" 2>&1
else
    facts | sh -s -- "$@" 2>&1
fi
printf '. %s %s\n' "$word" "$?"
