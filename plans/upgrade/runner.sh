#!/bin/sh
# The host side of mkectl: starts the scripts of a plan detached from the connection that asked for them, and tells
# truthfully what became of them. It lies as R/runner in a directory R of its own (0700, /var/lib/mkectl/<plan digest>)
# and is called with plain words; all that is long or odd comes as a file or on standard input.
#
#   start ACTION VERB N TOKEN [SECONDS]   starts attempt N unless it was started before; waits up to SECONDS for its end
#   wait ACTION VERB N SECONDS            waits up to SECONDS for its end
#   cancel ACTION VERB N [TOKEN]          ends it: TERM, a grace, KILL
#   read ACTION VERB N WHAT OFFSET LENGTH WHAT is stdout, stderr or out/NAME
#   state                                 the token and every attempt
#   fence TOKEN                           from now on refuse lower tokens
#   put PATH MODE SHA256                  a file from standard input; SHA256 "-": its first line is the hash
#   get PATH                              a file
#   missing                               reads "SHA256 PATH" lines, answers with those that are not there
#   sweep                                 removes secrets of attempts that do not run, and halves of uploads
#   claims                                the token, who holds the cluster, and the newest copy of the journal
#   take TOKEN HOLDER PLAN SECONDS WHO    claims the cluster for a run; not while somebody else has it
#   hold TOKEN HOLDER                     renews the claim and appends to its copy of the journal, as standard input says
#   release TOKEN HOLDER HOW              ends the claim: free, reserved (for its plan) or withdrawn (was never of use)
#   unlock TOKEN HOLDER WHO               frees the cluster, whoever has it
#
# What an attempt is, on disk, under actions/ACTION/VERB.N. Each file appears whole (written beside, synced, renamed or
# linked), and "linked" ones can be made only once, whoever comes first:
#
#   claim     linked by the launcher (boot id, pid, start time of the process): this attempt is taken
#   started   linked by the supervisor before the script runs; or "void", by whoever finds the launcher dead: never will
#   group     process group of the script
#   cancel, late   somebody, or the deadline, asked for its end
#   stdout, stderr, out/, outputs     what it wrote; outputs lists out/ with sizes and hashes
#   exit      how it ended: HOW STATUS BEGAN ENDED STDOUT STDERR ok
#
# Tokens and claims are common to all plans, beside R: tokens/N and, on managers, lease/N ("linked"), lease/N.beat (boot id
# and uptime of the last renewal), lease/N.end. The highest claim that was not withdrawn counts. It is valid for its seconds
# after a renewal by this host's uptime, which no clock jumps; a reboot starts the seconds anew. One that is over, and was
# not ended as free, is kept for its plan. R/journal/N is a copy of the journal as the run with the token N writes it.
#
# Processes are told apart by pid, start time and boot id, and those of a script by MKECTL_OUT in their environment: a
# recycled pid is never taken for the living process. Answers stand between two lines of their own, because a login shell
# may write first. Variables are in lower case throughout: parameters, in capitals, cannot touch them.
set -u
LC_ALL=C
export LC_ALL
umask 077
PATH="${PATH:+$PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
export PATH

e_usage=64     # a word that is not what it should be
e_hash=65      # what arrived is not what was sent
e_missing=66   # no such attempt, file, script or secret
e_tmpfs=69     # no place in memory for secrets
e_write=73     # the directory cannot be written
e_full=74      # the disk is full
e_busy=75      # another attempt of this action runs
e_never=76     # this action must not be interrupted
e_token=77     # somebody else has taken over

die() {
    printf 'mkectl-runner: %s\n' "$2" >&2
    exit "$1"
}

begin() { printf 'mkectl-runner-answer\n'; }
finish() { printf 'mkectl-runner-end\n'; }

# Fractions of a second are beyond POSIX, and beyond some builds of busybox.
nap() { sleep "$1" 2>/dev/null || sleep 1; }

now() { date +%s; }

# ---------------------------------------------------------------------------------------------------------- words

# A name that is one plain component of a path.
check_name() {
    case $1 in
    '' | .* | -* | *[!A-Za-z0-9._-]*) die "$e_usage" "not a name: $1" ;;
    esac
    [ "${#1}" -le 200 ] || die "$e_usage" "this name is too long: $1"
}

# A number without sign and leading zeros, of at most $2 digits: 18 fit into the arithmetic of every shell.
check_number() {
    case $1 in
    '' | *[!0-9]* | 0?*) die "$e_usage" "not a number: $1" ;;
    esac
    [ "${#1}" -le "$2" ] || die "$e_usage" "this number is too large: $1"
}

check_hash() {
    case $1 in
    *[!0-9a-f]*) die "$e_usage" "not a SHA-256: $1" ;;
    esac
    [ "${#1}" -eq 64 ] || die "$e_usage" "not a SHA-256: $1"
}

check_verb() {
    case $1 in
    probe | run | verify | undo) ;;
    *) die "$e_usage" "not a verb of a script: $1" ;;
    esac
}

# ACTION VERB N: sets action, verb, number, home (of the action) and dir (of the attempt).
attempt_words() {
    check_name "$1"
    check_verb "$2"
    check_number "$3" 9
    action=$1 verb=$2 number=$3
    home=$r/actions/$action
    dir=$home/$verb.$number
}

# PATH of put and get: sets target. Nothing but the places that mkectl has files in can be named.
place() {
    case $1 in
    runner) target=$r/runner ;;
    scripts/*)
        check_name "${1#scripts/}"
        target=$r/$1
        ;;
    files/*)
        check_name "${1#files/}"
        target=$r/$1
        ;;
    actions/*/env | actions/*/conf)
        split=${1#actions/}
        check_name "${split%/*}"
        target=$r/$1
        ;;
    actions/*/*/out/*)
        split=${1#actions/}
        check_name "${split%%/*}"
        split=${split#*/}
        check_name "${split%%/*}"
        check_name "${split#*/out/}"
        target=$r/$1
        ;;
    journal/*)
        check_number "${1#journal/}" 18
        target=$r/$1
        ;;
    secrets/*/*/*)
        split=${1#secrets/}
        check_name "${split%%/*}"
        split=${split#*/}
        check_name "${split%%/*}"
        check_name "${split#*/}"
        find_vault
        target=$vault/${1#secrets/}
        ;;
    *) die "$e_usage" "not a place for a file: $1" ;;
    esac
}

# ---------------------------------------------------------------------------------------------------------- files

# Some builds of sync take no files; they sync everything, which is also enough.
flush() { sync "$@" 2>/dev/null || sync; }

# Says why nothing can be written, and ends.
unwritable() {
    why=$(dd if=/dev/zero of="$r/.trial.$$" bs=65536 count=1 2>&1 && rm -f "$r/.trial.$$")
    code=$e_write
    case $why in
    *"No space left"* | *"uota exceeded"*) code=$e_full why="no space is left on the device" ;;
    *"Read-only file system"*) why="the file system is read-only" ;;
    *"ermission denied"*) why="permission denied" ;;
    *) why="the system refuses it" ;;
    esac
    rm -f "$r/.trial.$$" ${2+"$2"} 2>/dev/null
    die "$code" "cannot write $1: $why"
}

# FILE TEXT: replaces a file by one line, whole or not at all.
publish() {
    if { printf '%s\n' "$2" >"$1.new.$$"; } 2>/dev/null; then
        flush "$1.new.$$"
        if mv -f "$1.new.$$" "$1" 2>/dev/null; then
            flush "${1%/*}"
            return 0
        fi
    fi
    rm -f "$1.new.$$" 2>/dev/null
    return 1
}

# FILE TEXT: makes a file that is not there yet. 1: somebody was first. 2: it cannot be written. The caller syncs the
# directory where that matters.
link_once() {
    [ ! -e "$1" ] || return 1
    if { printf '%s\n' "$2" >"$1.new.$$"; } 2>/dev/null; then
        flush "$1.new.$$"
        if ln "$1.new.$$" "$1" 2>/dev/null; then
            rm -f "$1.new.$$"
            return 0
        fi
    fi
    rm -f "$1.new.$$" 2>/dev/null
    [ ! -e "$1" ] || return 1
    return 2
}

size_of() {
    size=$(wc -c <"$1" 2>/dev/null) || size=0
    # Some versions of wc write blanks before the number.
    size=$((${size:-0} + 0))
}

hash_of() {
    hash=$(sha256sum <"$1" 2>/dev/null) || hash=
    hash=${hash%% *}
}

# The directory in memory that holds secrets, in $vault.
find_vault() {
    vault=
    for candidate in /run /dev/shm; do
        while read -r _ mount type _; do
            [ "$mount" = "$candidate" ] && [ "$type" = tmpfs ] && vault=$candidate/mkectl
        done </proc/self/mounts
        [ -z "$vault" ] || break
    done
    [ -n "$vault" ] || die "$e_tmpfs" "neither /run nor /dev/shm is a tmpfs, so secrets have no place but the disk"
    mkdir -m 0700 "$vault" 2>/dev/null
    # Everybody may write to /dev/shm: what is there under our name must be ours.
    # Mode and owner are the words wanted, and they have no blanks.
    # shellcheck disable=SC2012
    found=$(ls -ldn "$vault" 2>/dev/null | { read -r rights _ owner _ && printf '%.10s %s' "$rights" "$owner"; })
    [ "$found" = "drwx------ $(id -u)" ] || die "$e_tmpfs" "$vault is not a directory of ours alone"
    vault=$vault/$(printf %s "$r" | tr / -)
}

# Removes the secrets of the attempt ACTION VERB.N, if it has any.
forget_secrets() {
    for forgotten in /run/mkectl /dev/shm/mkectl; do
        [ -d "$forgotten" ] || continue
        forgotten=$forgotten/$(printf %s "$r" | tr / -)/$1
        rm -f "$forgotten/$2/"* 2>/dev/null
        rmdir "$forgotten/$2" "$forgotten" "${forgotten%/*}" 2>/dev/null
    done
    return 0
}

# ------------------------------------------------------------------------------------------------------- processes

# PID: sets born (its start time in clock ticks since boot) and pgrp. Fails when it is gone or a zombie.
born_of() {
    { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
    # The name of the program stands in parentheses and may hold anything.
    stat=${stat##*) }
    # shellcheck disable=SC2086
    set -- $stat
    [ "$#" -ge 20 ] || return 1
    case $1 in
    Z | X | x) return 1 ;;
    esac
    pgrp=$3
    shift 19
    born=$1
}

alive() { born_of "$1" && [ "$born" = "$2" ]; }

# DIR: whether a process of the script of this attempt lives.
haunted() {
    cat /proc/[0-9]*/environ 2>/dev/null | tr '\0' '\n' | grep -qxF "MKECTL_OUT=$1/out"
}

# DIR SIGNAL: to the process group of the script, and to those of its processes that left the group.
signal_all() {
    leader=0 leader_born=0 mark=
    { read -r leader leader_born mark <"$1/group"; } 2>/dev/null
    # A pid is not given again while it is the id of a group, so a leader that is gone leaves the group ours.
    if [ "$mark" = ok ] && [ "$leader" -gt 1 ] && { alive "$leader" "$leader_born" || [ ! -d "/proc/$leader" ]; }; then
        kill -s "$2" -- "-$leader" 2>/dev/null
        [ "$2" = KILL ] || return 0
    fi
    for process in /proc/[0-9]*; do
        if { tr '\0' '\n' <"$process/environ"; } 2>/dev/null | grep -qxF "MKECTL_OUT=$1/out"; then
            kill -s "$2" "${process#/proc/}" 2>/dev/null
        fi
    done
    return 0
}

# ---------------------------------------------------------------------------------------------------------- state

# DIR: reads the exit marker into how, status, began, ended, kept_out, kept_err. What has no end mark is not believed.
read_exit() {
    mark=
    { read -r how status began ended kept_out kept_err mark <"$1/exit"; } 2>/dev/null
    [ "$mark" = ok ]
}

# DIR: what became of this attempt, in $state: none; running [SINCE]; HOW STATUS BEGAN ENDED STDOUT STDERR; lost WHY.
look() {
    if [ ! -e "$1/claim" ]; then
        state=none
        return
    fi
    if read_exit "$1"; then
        state="$how $status $began $ended $kept_out $kept_err"
        return
    fi
    if [ ! -e "$1/started" ]; then
        mark=
        { read -r claim_boot claim_pid claim_born mark <"$1/claim"; } 2>/dev/null
        if [ "$mark" = ok ] && [ "$claim_boot" = "$boot" ] && alive "$claim_pid" "$claim_born"; then
            state=running
            return
        fi
        # Its launcher is gone. Before this is told, it must be sure that no supervisor starts later.
        link_once "$1/started" void
        if [ "$?" -eq 2 ]; then
            # Nothing can be written, so a supervisor cannot start either, for as long as that lasts.
            state="lost unsealed"
            return
        fi
    fi
    mark=
    { read -r up_boot up_pid up_born up_since mark <"$1/started"; } 2>/dev/null
    if [ "$up_boot" = void ]; then
        state="lost never-started"
    elif [ "$mark" != ok ]; then
        state="lost unreadable"
    elif [ "$up_boot" = "$boot" ] && alive "$up_pid" "$up_born"; then
        state="running $up_since"
        return
    elif read_exit "$1"; then
        # It ended between two looks.
        state="$how $status $began $ended $kept_out $kept_err"
        return
    elif [ "$up_boot" != "$boot" ]; then
        state="lost reboot"
    elif haunted "$1"; then
        state="running $up_since"
        return
    else
        state="lost killed"
    fi
    lost_verb=${1##*/} lost_home=${1%/*}
    forget_secrets "${lost_home##*/}" "$lost_verb"
}

# Waits up to $1 seconds for the end of the attempt.
await() {
    left=$(($1 * 100)) round=0
    while :; do
        look "$dir"
        case $state in
        running*) ;;
        *) return ;;
        esac
        [ "$left" -gt 0 ] || return
        round=$((round + 1))
        case $round in
        [1-5]) step=2 pause=0.02 ;;
        [6-9]) step=5 pause=0.05 ;;
        1[0-9]) step=10 pause=0.1 ;;
        *) step=25 pause=0.25 ;;
        esac
        nap "$pause"
        left=$((left - step))
    done
}

# Tells the state of the attempt and, when it has ended, what there is to read.
tell() {
    begin
    printf 'attempt %s\n' "$state"
    case $state in
    none | running*) ;;
    *)
        for stream in stdout stderr; do
            size_of "$dir/$stream"
            printf '%s %s\n' "$stream" "$size"
        done
        if [ -e "$dir/outputs" ]; then
            while read -r size hash name mark; do
                [ "$mark" = ok ] && printf 'out %s %s %s\n' "$size" "$hash" "$name"
            done <"$dir/outputs"
        fi
        ;;
    esac
    finish
}

# --------------------------------------------------------------------------------------------------------- fencing

# Sets max to the highest token seen: the highest name in tokens/. No lock, so nothing can be left locked.
highest() {
    max=0
    for seen in "$common/tokens/"*; do
        seen=${seen##*/}
        case $seen in
        *[!0-9]* | '') continue ;;
        esac
        [ "$seen" -le "$max" ] || max=$seen
    done
}

# TOKEN: refuses one that is lower than the highest, and remembers it.
fence() {
    highest
    [ "$max" -le "$1" ] || die "$e_token" "token $1 is refused: this host has seen $max"
    [ ! -e "$common/tokens/$1" ] || return 0
    if ! mkdir -p "$common/tokens" 2>/dev/null || ! { : >"$common/tokens/$1"; } 2>/dev/null; then
        unwritable "$common/tokens"
    fi
    flush "$common/tokens" "$common"
    highest
    [ "$max" -le "$1" ] || die "$e_token" "token $1 is refused: this host has seen $max"
    for seen in "$common/tokens/"*; do
        seen=${seen##*/}
        case $seen in
        *[!0-9]* | '') continue ;;
        esac
        [ "$seen" -ge "$1" ] || rm -f "$common/tokens/$seen"
    done
}

# ---------------------------------------------------------------------------------------------------------- lease

# What is said of a holder: an id, and user@host for people.
check_word() {
    case $1 in
    '' | -* | *[!A-Za-z0-9._@:-]*) die "$e_usage" "not a plain word: $1" ;;
    esac
    [ "${#1}" -le 100 ] || die "$e_usage" "this word is too long: $1"
}

# Sets up to the seconds since the boot.
uptime_now() {
    up=0
    { read -r up _ </proc/uptime; } 2>/dev/null
    up=${up%%.*}
}

# TOKEN: sets at to the highest claim besides this one that was not withdrawn, 0 when there is none, and top to the highest
# of all; of the one at: phase (free, reserved, held, expired), left, and holder, plan, since, seconds, who.
look_lease() {
    at=0 top=0 ended=''
    for claim in "$common/lease/"*; do
        claim=${claim##*/}
        case $claim in
        *[!0-9]* | '') continue ;;
        esac
        [ "$claim" -le "$top" ] || top=$claim
        if [ "$claim" = "$1" ] || [ "$claim" -le "$at" ]; then continue; fi
        found=
        { read -r found <"$common/lease/$claim.end"; } 2>/dev/null
        [ "$found" != withdrawn ] || continue
        at=$claim ended=$found
    done
    phase=free left=0 mark=
    [ "$at" -gt 0 ] || return 0
    { read -r holder plan since seconds who beat_boot beat_up mark <"$common/lease/$at"; } 2>/dev/null
    if [ "$mark" != ok ]; then
        # Nobody knows whose it is: a person has to free it.
        holder=- plan=- since=0 seconds=0 who=- phase=reserved
        return 0
    fi
    case $ended in
    free | reserved)
        phase=$ended
        return 0
        ;;
    esac
    mark=
    { read -r last_boot last_up mark <"$common/lease/$at.beat"; } 2>/dev/null
    if [ "$mark" = ok ]; then beat_boot=$last_boot beat_up=$last_up; fi
    # A holder that lost us with a reboot has its seconds to come back.
    [ "$beat_boot" = "$boot" ] || beat_up=0
    uptime_now
    left=$((beat_up + seconds - up))
    phase=held
    if [ "$left" -le 0 ]; then phase=expired left=0; fi
}

tell_lease() {
    highest
    [ "$top" -le "$max" ] || max=$top
    printf 'token %s\n' "$max"
    [ "$at" -eq 0 ] || printf 'lease %s %s %s %s %s %s %s\n' "$at" "$phase" "$left" "$since" "$holder" "$plan" "$who"
}

claims() {
    look_lease none
    newest=0
    for copy in "$r/journal/"*; do
        copy=${copy##*/}
        case $copy in
        *[!0-9]* | '') continue ;;
        esac
        [ "$copy" -le "$newest" ] || newest=$copy
    done
    begin
    tell_lease
    if [ -f "$r/journal/$newest" ]; then
        size_of "$r/journal/$newest"
        printf 'journal %s %s\n' "$newest" "$size"
    fi
    finish
}

# TOKEN HOLDER: whether this claim is there, of this holder, not ended, and none above it.
mine() {
    claimed_by=
    { read -r claimed_by _ <"$common/lease/$1"; } 2>/dev/null
    [ "$claimed_by" = "$2" ] && [ ! -e "$common/lease/$1.end" ] || return 1
    look_lease "$1"
    [ "$at" -lt "$1" ]
}

# TOKEN HOLDER PLAN SECONDS WHO
take() {
    mkdir -p "$common/lease" 2>/dev/null || unwritable "$common/lease"
    answer=no
    if mine "$1" "$2"; then
        # Asked again, because the answer was lost.
        answer=yes
    else
        look_lease none
        highest
        before=$at
        uptime_now
        # Fenced with this very token: its run has a majority already, and we were away.
        if [ "$top" -lt "$1" ] && [ "$max" -le "$1" ] && may_take "$2" "$3"; then
            link_once "$common/lease/$1" "$2 $3 $(now) $4 $5 $boot $up ok"
            case $? in
            0)
                flush "$common/lease" "$common"
                # The claim is public: of two that came at once, at least one sees the other.
                look_lease "$1"
                if [ "$at" = "$before" ]; then answer=yes; else link_once "$common/lease/$1.end" withdrawn; fi
                ;;
            2) unwritable "$common/lease/$1" ;;
            esac
        fi
    fi
    look_lease none
    begin
    printf 'taken %s\n' "$answer"
    tell_lease
    finish
}

# HOLDER PLAN: whether what look_lease found lets this one in.
may_take() {
    case $phase in
    free) ;;
    held) [ "$holder" = "$1" ] ;;
    *) [ "$plan" = "$2" ] ;;
    esac
}

# TOKEN HOLDER: from now on this host refuses lower tokens. Lines of standard input: "beat" renews, "{…" is appended to the
# copy of the journal, "commit N" syncs it. Each answer but the first is one line; "lost" when somebody else has taken over.
hold() {
    mine "$1" "$2" || die "$e_token" "the claim $1 is over"
    fence "$1"
    for claim in "$common/lease/"*; do
        claim=${claim##*/}
        case $claim in
        *[!0-9]* | '') continue ;;
        esac
        [ "$claim" -ge "$1" ] || rm -f "$common/lease/$claim.beat" "$common/lease/$claim" "$common/lease/$claim.end"
    done
    copy=$r/journal/$1
    [ -f "$copy" ] || die "$e_missing" "there is no copy of the journal for the token $1"
    # A shell ends when exec cannot redirect, so it is tried with something else first.
    { printf '' >>"$copy"; } 2>/dev/null || unwritable "$copy"
    exec 5>>"$copy"
    begin
    size_of "$copy"
    printf 'holding %s\n' "$size"
    kept=yes
    while IFS= read -r line; do
        case $line in
        '{'*)
            [ "$kept" = no ] || printf '%s\n' "$line" >&5 2>/dev/null || kept=no
            continue
            ;;
        esac
        if ! mine "$1" "$2"; then
            printf 'lost\n'
            return
        fi
        case $line in
        beat)
            uptime_now
            if { printf '%s %s ok\n' "$boot" "$up" >"$common/lease/$1.beat.new"; } 2>/dev/null &&
                mv -f "$common/lease/$1.beat.new" "$common/lease/$1.beat" 2>/dev/null; then
                printf 'beat\n'
            else
                printf 'full\n'
            fi
            ;;
        'commit '*)
            [ "$kept" = no ] || flush "$copy" || kept=no
            if [ "$kept" = yes ]; then
                # What was synced before somebody else claimed is found by him; only that counts as kept.
                if mine "$1" "$2"; then printf 'kept %s\n' "${line#commit }"; else printf 'lost\n'; fi
            else
                printf 'full\n'
                return
            fi
            ;;
        *) die "$e_usage" "not a line for hold" ;;
        esac
    done
}

# TOKEN HOLDER HOW
release() {
    case $3 in
    free | reserved | withdrawn) ;;
    *) die "$e_usage" "not an end of a claim: $3" ;;
    esac
    claimed_by=
    { read -r claimed_by _ <"$common/lease/$1"; } 2>/dev/null
    if [ "$claimed_by" = "$2" ]; then
        link_once "$common/lease/$1.end" "$3"
        [ "$?" -ne 2 ] || unwritable "$common/lease/$1.end"
        flush "$common/lease"
    fi
    look_lease none
    begin
    tell_lease
    finish
}

# TOKEN HOLDER WHO
unlock() {
    mkdir -p "$common/lease" 2>/dev/null || unwritable "$common/lease"
    fence "$1"
    uptime_now
    # Ended before it is there, so that it never counts as held.
    link_once "$common/lease/$1.end" free
    [ "$?" -ne 2 ] || unwritable "$common/lease"
    link_once "$common/lease/$1" "$2 - $(now) 0 $3 $boot $up ok"
    [ "$?" -ne 2 ] || unwritable "$common/lease"
    flush "$common/lease" "$common"
    look_lease none
    begin
    tell_lease
    finish
}

# ---------------------------------------------------------------------------------------------------------- start

# How this action is to be run: "KEY VALUE" lines.
read_conf() {
    script='' timeout=300 cancelling=finish poll=2 cap=16777216 grace=10 detach=auto secrets=''
    search=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    [ -r "$home/conf" ] || die "$e_missing" "action $action was not delivered: it has no conf"
    while read -r key value; do
        case $key in
        script)
            check_hash "$value"
            script=$value
            ;;
        timeout)
            check_number "$value" 9
            timeout=$value
            ;;
        cancel)
            case $value in
            now | finish | never) cancelling=$value ;;
            *) die "$e_usage" "conf of $action: cancel $value" ;;
            esac
            ;;
        poll)
            check_name "$value"
            poll=$value
            ;;
        cap)
            check_number "$value" 15
            cap=$value
            ;;
        grace)
            check_number "$value" 5
            grace=$value
            ;;
        detach)
            case $value in
            auto | systemd | setsid | fork) detach=$value ;;
            *) die "$e_usage" "conf of $action: detach $value" ;;
            esac
            ;;
        path) search=$value ;;
        secret)
            check_name "$value"
            secrets="$secrets $value"
            ;;
        end) return ;;
        *) die "$e_usage" "conf of $action: unknown key $key" ;;
        esac
    done <"$home/conf"
    die "$e_hash" "conf of $action is not whole"
}

# Fails when another attempt of this action runs.
check_alone() {
    for other in "$home/"*.*/; do
        other=${other%/}
        [ "$other" = "$dir" ] && continue
        [ -e "$other/claim" ] || continue
        look "$other"
        case $state in
        running*) return 1 ;;
        esac
    done
}

# HOW STATUS: writes the exit marker, into room that was set aside for it: a full disk must not hide an end.
record() {
    line="$1 $2 ${since:-$(now)} $(now) ${kept_out:-whole} ${kept_err:-whole} ok"
    if { printf '%s\n' "$line" 1<>"$dir/exit.new"; } 2>/dev/null; then
        flush "$dir/exit.new"
        mv -f "$dir/exit.new" "$dir/exit" && flush "$dir"
    fi
}

launch() {
    set -- "$r/runner" supervise "$action" "$verb" "$number"
    shell=$(command -v sh)
    case $detach in
    auto | systemd)
        # Outlives the connection also where logind kills what users leave behind.
        if [ -d /run/systemd/system ] && command -v systemd-run >/dev/null 2>&1; then
            systemd-run --quiet --collect --unit="mkectl-${r##*/}-$action-$verb-$number" \
                --property=IgnoreSIGPIPE=no "$shell" "$@" systemd </dev/null >/dev/null 2>&1 && return
        fi
        ;;
    esac
    # A supervisor that was started after all finds that the second one was first, or the other way round.
    if [ "$detach" != fork ] && command -v setsid >/dev/null 2>&1; then
        setsid "$shell" "$@" setsid </dev/null >/dev/null 2>&1 &
    else
        (
            trap '' HUP
            "$shell" "$@" fork </dev/null >/dev/null 2>&1 &
        )
    fi
}

start() {
    fence "$1"
    if [ -e "$dir/claim" ]; then
        await "$2"
        tell
        return
    fi
    read_conf
    [ -n "$script" ] || die "$e_missing" "action $action names no script"
    [ -r "$home/env" ] || die "$e_missing" "action $action was not delivered: it has no env"
    hash_of "$r/scripts/$script.sh"
    [ "$hash" = "$script" ] || die "$e_missing" "script $script was not delivered, or was changed"
    if [ -n "$secrets" ]; then
        find_vault
        for secret in $secrets; do
            [ -r "$vault/$action/$verb.$number/$secret" ] || die "$e_missing" "secret $secret was not delivered"
        done
    fi
    check_alone || die "$e_busy" "another attempt of $action runs: ${other##*/}"
    # Room for the exit marker is written, not only reserved by name.
    if ! mkdir -p "$dir/out" "$home/work" 2>/dev/null ||
        ! { printf '%-160s\n' '' >"$dir/exit.room.$$" && printf '%-80s\n' '' >"$dir/group"; } 2>/dev/null; then
        rm -f "$dir/exit.room.$$" 2>/dev/null
        unwritable "$dir"
    fi
    flush "$dir/exit.room.$$"
    born_of "$$"
    link_once "$dir/claim" "$boot $$ $born ok"
    case $? in
    0) ;;
    1)
        rm -f "$dir/exit.room.$$"
        await "$2"
        tell
        return
        ;;
    *)
        rm -f "$dir/exit.room.$$" 2>/dev/null
        unwritable "$dir/claim"
        ;;
    esac
    mv -f "$dir/exit.room.$$" "$dir/exit.new"
    flush "$dir" "$home" "$r/actions" "$r"
    # The claim is public: whoever claims or takes over after this sees it, and we see whoever did so before.
    if ! check_alone; then
        withdraw
        die "$e_busy" "another attempt of $action was started at the same time: ${other##*/}"
    fi
    highest
    if [ "$max" -gt "$1" ]; then
        withdraw
        die "$e_token" "token $1 is refused: this host has seen $max"
    fi
    launch
    limit=0
    while [ ! -e "$dir/started" ] && [ ! -e "$dir/exit" ] && [ "$limit" -lt 500 ]; do
        limit=$((limit + 1))
        nap 0.02
    done
    await "$2"
    tell
}

# Takes a claim back before anything was launched.
withdraw() {
    link_once "$dir/started" void
    kept_out=whole kept_err=whole
    record refused 0
    forget_secrets "$action" "$verb.$number"
}

# ------------------------------------------------------------------------------------------------------ supervising

# FILE: standard input into the file, up to $cap bytes; the rest is read and thrown away, so that the writer goes on.
# Ends with 0: all is there; 3: cut; 4: it could not be written.
limit_output() {
    filled=0
    { : >"$1"; } 2>/dev/null || {
        cat >/dev/null
        return 4
    }
    while [ "$filled" -lt "$cap" ]; do
        block=$((cap - filled))
        count=1
        if [ "$block" -gt 16384 ]; then
            count=$((block / 16384)) block=16384
        fi
        # dd writes what it has read at once, so the file can be read while the script runs.
        if ! dd bs="$block" count="$count" 2>/dev/null >>"$1"; then
            cat >/dev/null
            return 4
        fi
        before=$filled
        size_of "$1"
        filled=$size
        [ "$filled" -gt "$before" ] || return 0
    done
    [ "$(dd bs=1 count=1 2>/dev/null | wc -c)" -gt 0 ] || return 0
    { printf '\n[mkectl: more than %s bytes, the rest is left out]\n' "$cap" >>"$1"; } 2>/dev/null
    cat >/dev/null
    return 3
}

# SECONDS: sleeps so long. A sleep that was killed has not shown that the time is up, so it begins anew; a host where
# none can be started has no clock to go by, and its deadlines come at once.
sleep_whole() {
    begun=0
    while [ "$begun" -lt 20 ]; do
        begun=$((begun + 1))
        sleep "$1" &
        nap_pid=$!
        wait "$nap_pid" && return 0
    done
}

# Ends the script when its time is up. A process of its own: it does so also when the supervisor was killed.
watch_deadline() {
    nap_pid=
    trap '[ -z "$nap_pid" ] || kill "$nap_pid" 2>/dev/null; exit 0' TERM
    sleep_whole "$timeout"
    publish "$dir/late" "$(now)"
    signal_all "$dir" TERM
    sleep_whole "$grace"
    signal_all "$dir" KILL
}

# PID: whether a child has ended and was not waited for yet.
ended_child() { ! born_of "$1"; }

# STATUS: what the end of a limiter means.
kept_word() {
    case $1 in
    0) word=whole ;;
    3) word="cut" ;;
    *) word=lost ;;
    esac
}

supervise() {
    born_of "$$"
    my_born=$born since=$(now)
    link_once "$dir/started" "$boot $$ $my_born $since ok" || exit 0
    flush "$dir" "$home"
    if [ -e "$dir/cancel" ]; then
        forget_secrets "$action" "$verb.$number"
        record cancelled 143
        exit 0
    fi
    if ! mkfifo "$dir/stdout.pipe" "$dir/stderr.pipe" 2>/dev/null; then
        rm -f "$dir/stdout.pipe" "$dir/stderr.pipe"
        forget_secrets "$action" "$verb.$number"
        record broken "$e_write"
        exit 0
    fi
    # Opened for both first, because opening a named pipe for one waits for the other.
    exec 3<>"$dir/stdout.pipe" 4<>"$dir/stderr.pipe"
    # shellcheck disable=SC2094
    exec 6<"$dir/stdout.pipe" 7>"$dir/stdout.pipe" 8<"$dir/stderr.pipe" 9>"$dir/stderr.pipe"
    exec 3>&- 4>&-
    rm -f "$dir/stdout.pipe" "$dir/stderr.pipe"
    # "exec" in a subshell, because a shell that redirects a function keeps copies of what it will restore.
    (
        exec <&6 6<&- 7>&- 8<&- 9>&-
        limit_output "$dir/stdout"
    ) &
    out_reader=$!
    (
        exec <&8 6<&- 7>&- 8<&- 9>&-
        limit_output "$dir/stderr"
    ) &
    err_reader=$!
    timer=
    if [ "$cancelling" != never ] && [ "$timeout" -gt 0 ]; then
        (
            exec 6<&- 7>&- 8<&- 9>&-
            watch_deadline
        ) &
        timer=$!
    fi
    set -- env -i "MKECTL_OUT=$dir/out" "PATH=$PATH" "$(command -v sh)" "$r/runner" script "$action" "$verb" "$number" \
        "$$" "$my_born"
    if [ "$detached" != fork ] && command -v setsid >/dev/null 2>&1; then
        set -- setsid "$@"
    fi
    "$@" </dev/null >&7 2>&9 6<&- 7>&- 8<&- 9>&- &
    script_pid=$!
    exec 6<&- 7>&- 8<&- 9>&-
    wait "$script_pid"
    ended_with=$?
    outcome=exited
    if [ -e "$dir/cancel" ]; then outcome=cancelled; fi
    if [ -e "$dir/late" ]; then outcome=deadline; fi
    if [ "$outcome" != exited ]; then
        # The shell may have gone before its children: they have their grace too.
        patience=0
        while [ "$patience" -lt "$((grace * 5))" ] && haunted "$dir"; do
            patience=$((patience + 1))
            nap 0.2
        done
        signal_all "$dir" KILL
    fi
    if [ -n "$timer" ]; then
        kill "$timer" 2>/dev/null
        wait "$timer" 2>/dev/null
    fi
    forget_secrets "$action" "$verb.$number"
    # Something that the script left behind may hold the pipes open for ever.
    patience=0
    while [ "$patience" -lt 100 ] && ! { ended_child "$out_reader" && ended_child "$err_reader"; }; do
        patience=$((patience + 1))
        nap 0.02
    done
    kept_out=open kept_err=open
    if ended_child "$out_reader"; then
        wait "$out_reader"
        kept_word "$?"
        kept_out=$word
    fi
    if ended_child "$err_reader"; then
        wait "$err_reader"
        kept_word "$?"
        kept_err=$word
    fi
    # A marker never vouches for outputs that could not be listed.
    list_outputs || list_outputs || list_outputs || outcome=broken ended_with=$e_write
    # What the marker vouches for must be as durable as the marker.
    flush "$dir/stdout" "$dir/stderr" "$dir/outputs" "$dir/out/"* "$dir/out"
    record "$outcome" "$ended_with"
}

# Fails when the list is not complete: one of the programs it takes may be killed, or the disk be full.
list_outputs() {
    {
        for output in "$dir/out/"*; do
            case ${output##*/} in
            -* | *[!A-Za-z0-9._-]*) continue ;;
            esac
            if [ ! -f "$output" ] || [ -L "$output" ]; then continue; fi
            counted=$(wc -c <"$output") || return 1
            hash_of "$output"
            [ "${#hash}" -eq 64 ] || return 1
            printf '%s %s %s ok\n' "$((counted + 0))" "$hash" "${output##*/}" || return 1
        done >"$dir/outputs.new"
    } 2>/dev/null || return 1
    mv -f "$dir/outputs.new" "$dir/outputs" 2>/dev/null
}

# PID BORN of the supervisor: becomes the script.
become_script() {
    born_of "$$"
    line="0 0 ok"
    [ "$pgrp" != "$$" ] || line="$$ $born ok"
    # In the room that was set aside. No sync: it means something only until the next boot.
    { printf '%s\n' "$line" 1<>"$dir/group"; } 2>/dev/null || die 125 "the process group cannot be recorded"
    # Killed while this was being started: its attempt may be told lost already, so nothing must run any more.
    alive "$1" "$2" || die 125 "the supervisor is gone"
    [ ! -e "$dir/cancel" ] || exit 143
    cd / || exit 125
    for secret in $secrets; do
        case $secret in
        *[!A-Z0-9_]* | [!A-Z]*) die 125 "not the name of a parameter: $secret" ;;
        esac
    done
    set -a
    # shellcheck source=/dev/null
    . "$home/env"
    set +a
    if [ -n "$secrets" ]; then
        find_vault
        for secret in $secrets; do
            # The name was looked at above; the value is not looked at by eval.
            eval "${secret}_FILE=\$vault/\$action/\$verb.\$number/\$secret"
            eval "export ${secret}_FILE"
        done
    fi
    PATH=$search LC_ALL=C MKECTL_OUT=$dir/out MKECTL_WORK=$home/work MKECTL_POLL=$poll MKECTL_DEADLINE=$timeout
    export PATH LC_ALL MKECTL_OUT MKECTL_WORK MKECTL_POLL MKECTL_DEADLINE
    unset OLDPWD
    exec sh "$r/scripts/$script.sh" "$verb"
}

# ----------------------------------------------------------------------------------------------------------- verbs

cancel() {
    look "$dir"
    case $state in
    running*) ;;
    *)
        tell
        return
        ;;
    esac
    read_conf
    [ "$cancelling" != never ] || die "$e_never" "$action must not be interrupted"
    link_once "$dir/cancel" "$(now)"
    [ "$?" -ne 2 ] || unwritable "$dir/cancel"
    if link_once "$dir/started" void; then
        # The supervisor has not come so far, and cannot any more.
        record cancelled 143
        forget_secrets "$action" "$verb.$number"
    else
        signal_all "$dir" TERM
        await "$grace"
        case $state in
        running*)
            signal_all "$dir" KILL
            await 10
            ;;
        esac
        case $state in
        "lost killed")
            # The supervisor was gone before, and what was left of the script is gone now.
            since=$up_since kept_out=open kept_err=open
            record cancelled 137
            ;;
        esac
    fi
    look "$dir"
    tell
}

read_part() {
    case $1 in
    stdout | stderr) ;;
    out/*) check_name "${1#out/}" ;;
    *) die "$e_usage" "neither stdout, stderr nor out/NAME: $1" ;;
    esac
    check_number "$2" 15
    check_number "$3" 15
    [ -e "$dir/claim" ] || die "$e_missing" "there is no attempt $action $verb $number"
    if [ ! -f "$dir/$1" ] || [ -L "$dir/$1" ]; then
        case $1 in
        out/*) die "$e_missing" "$action $verb $number has no output ${1#out/}" ;;
        esac
        part=0 size=0
    else
        size_of "$dir/$1"
        part=$((size - $2))
        [ "$part" -le "$3" ] || part=$3
        [ "$part" -ge 0 ] || part=0
    fi
    begin
    printf 'data %s %s\n' "$part" "$size"
    if [ "$part" -gt 0 ]; then
        tail -c "+$(($2 + 1))" "$dir/$1" 2>/dev/null | head -c "$part"
    fi
    printf '\n'
    finish
}

put() {
    case $2 in
    0[0-7][0-7][0-7]) ;;
    *) die "$e_usage" "not a mode: $2" ;;
    esac
    case $1 in
    actions/*/out/*) die "$e_usage" "outputs are written by scripts" ;;
    esac
    place "$1"
    expected=$3
    # The hash of a short secret tells the secret, and arguments are public.
    [ "$expected" != - ] || read -r expected || die "$e_hash" "nothing arrived for $1"
    check_hash "$expected"
    case $1 in
    scripts/*) [ "${1#scripts/}" = "$expected.sh" ] || die "$e_usage" "a script is named after its hash" ;;
    files/*) [ "${1#files/}" = "$expected" ] || die "$e_usage" "a file is named after its hash" ;;
    esac
    part=$target.part.$$
    mkdir -p "${target%/*}" 2>/dev/null || unwritable "${target%/*}"
    if ! cat >"$part" 2>/dev/null; then
        unwritable "$target" "$part"
    fi
    hash_of "$part"
    if [ "$hash" != "$expected" ]; then
        rm -f "$part"
        die "$e_hash" "$1 did not arrive whole"
    fi
    if ! chmod "$2" "$part" || ! flush "$part" || ! mv -f "$part" "$target"; then
        unwritable "$target" "$part"
    fi
    flush "${target%/*}"
    begin
    printf 'put %s\n' "$1"
    finish
}

get() {
    case $1 in
    secrets/*) die "$e_usage" "secrets are not given back" ;;
    esac
    place "$1"
    if [ ! -f "$target" ] || [ -L "$target" ]; then die "$e_missing" "there is no $1"; fi
    size_of "$target"
    begin
    printf 'data %s %s\n' "$size" "$size"
    head -c "$size" "$target"
    printf '\n'
    finish
}

missing() {
    begin
    while read -r expected path; do
        check_hash "$expected"
        place "$path"
        hash=
        [ ! -f "$target" ] || hash_of "$target"
        [ "$hash" = "$expected" ] || printf 'missing %s\n' "$path"
    done
    finish
}

show_state() {
    begin
    highest
    printf 'token %s\n' "$max"
    for each in "$r/actions/"*/*.*/; do
        each=${each%/}
        [ -e "$each/claim" ] || continue
        look "$each"
        each_action=${each%/*} each_attempt=${each##*/}
        printf 'action %s %s %s %s\n' "${each_action##*/}" "${each_attempt%.*}" "${each_attempt##*.}" "$state"
    done
    finish
}

sweep() {
    for kept in /run/mkectl /dev/shm/mkectl; do
        [ -d "$kept" ] || continue
        kept=$kept/$(printf %s "$r" | tr / -)
        for each in "$kept/"*/*.*/; do
            each=${each%/}
            [ -d "$each" ] || continue
            each_action=${each%/*} each_action=${each_action##*/}
            look "$r/actions/$each_action/${each##*/}"
            case $state in
            running*) ;;
            *) forget_secrets "$each_action" "${each##*/}" ;;
            esac
        done
    done
    rm -f "$r/files/"*.part.* "$r/scripts/"*.part.* "$r/actions/"*/*.part.* "$r/"*.part.* 2>/dev/null
    begin
    finish
}

words() {
    if [ "$1" -lt "$2" ] || [ "$1" -gt "$3" ]; then die "$e_usage" "wrong number of words"; fi
}

case $0 in
/*/runner) r=${0%/*} common=${0%/*/runner} ;;
*) die "$e_usage" "call this as sh /DIRECTORY/runner" ;;
esac
boot=unknown
{ read -r boot </proc/sys/kernel/random/boot_id; } 2>/dev/null
[ -r "/proc/$$/stat" ] || die "$e_missing" "/proc is not mounted, so processes cannot be told apart"

call=${1:-}
[ "$#" -eq 0 ] || shift
case $call in
start)
    words "$#" 4 5
    attempt_words "$1" "$2" "$3"
    check_number "$4" 18
    check_number "${5:-0}" 4
    start "$4" "${5:-0}"
    ;;
wait)
    words "$#" 4 4
    attempt_words "$1" "$2" "$3"
    check_number "$4" 4
    await "$4"
    tell
    ;;
cancel)
    words "$#" 3 4
    attempt_words "$1" "$2" "$3"
    check_number "${4:-0}" 18
    [ "$#" -lt 4 ] || fence "$4"
    cancel
    ;;
read)
    words "$#" 6 6
    attempt_words "$1" "$2" "$3"
    read_part "$4" "$5" "$6"
    ;;
state)
    words "$#" 0 0
    show_state
    ;;
fence)
    words "$#" 1 1
    check_number "$1" 18
    fence "$1"
    begin
    printf 'token %s\n' "$max"
    finish
    ;;
claims)
    words "$#" 0 0
    claims
    ;;
take)
    words "$#" 5 5
    check_number "$1" 18
    for word in "$2" "$3" "$5"; do check_word "$word"; done
    check_number "$4" 5
    take "$@"
    ;;
hold)
    words "$#" 2 2
    check_number "$1" 18
    check_word "$2"
    hold "$1" "$2"
    ;;
release)
    words "$#" 3 3
    check_number "$1" 18
    check_word "$2"
    release "$@"
    ;;
unlock)
    words "$#" 3 3
    check_number "$1" 18
    for word in "$2" "$3"; do check_word "$word"; done
    unlock "$@"
    ;;
put)
    words "$#" 3 3
    put "$1" "$2" "$3"
    ;;
get)
    words "$#" 1 1
    get "$1"
    ;;
missing)
    words "$#" 0 0
    missing
    ;;
sweep)
    words "$#" 0 0
    sweep
    ;;
supervise)
    words "$#" 4 4
    attempt_words "$1" "$2" "$3"
    detached=$4
    read_conf
    supervise
    ;;
script)
    words "$#" 5 5
    attempt_words "$1" "$2" "$3"
    read_conf
    become_script "$4" "$5"
    ;;
*) die "$e_usage" "unknown call: $call" ;;
esac
