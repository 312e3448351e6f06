#!/usr/bin/env bash
# Runs a command while it holds the lock of this machine's card. GitHub's concurrency groups are per
# repository; this one holds for all repositories and runners of a host that have the folder in common.
#
#   WHISPERBENCH_LOCKS           the folder of the locks: of root, with a file a card (docs/runners.md)
#   CUDA_VISIBLE_DEVICES         the UUID of the one card, as nvidia-smi -L shows it; empty: the CPU
#   WHISPERBENCH_LOCK_WAIT_S     how long to wait, in seconds; 3000 by default
#
# In a job the command is told neither the files by which a step speaks to the steps after it nor a
# token of GitHub's, and the runner takes nothing that it prints for a command.
#
# Exits with the command's code; with 75 where the card was not free in time.
set -euo pipefail
locks=${WHISPERBENCH_LOCKS:-} wait_s=${WHISPERBENCH_LOCK_WAIT_S:-3000}

fail() { # exit code, words
    printf 'with-card: %s\n' "$2" >&2
    exit "$1"
}
if [[ $# -eq 0 ]]; then fail 2 "name a command, as in: with-card.sh whisperbench ab main"; fi
if [[ -z $locks ]]; then
    fail 2 "WHISPERBENCH_LOCKS is not set: name the folder of the locks, as docs/runners.md says"
fi
if ! [[ -d $locks ]]; then fail 2 "$locks: is no folder: make it, as docs/runners.md says"; fi
if ! command -v flock >/dev/null; then fail 2 "flock is not installed: it is part of util-linux"; fi
if [[ -z ${CUDA_VISIBLE_DEVICES+set} ]]; then
    fail 2 "CUDA_VISIBLE_DEVICES is not set: name the UUID of one card, or nothing for the CPU"
fi
card=${CUDA_VISIBLE_DEVICES:-cpu}
if ! [[ $card == cpu || $card =~ ^(GPU|MIG)-[0-9A-Za-z-]+$ ]]; then
    # A number is another card once the order changes, and two cards have no lock in common.
    fail 2 "CUDA_VISIBLE_DEVICES=$card: name the UUID of one card, as nvidia-smi -L shows it"
fi

lock=$locks/$card.lock holder="${GITHUB_REPOSITORY:-pid $$} ${GITHUB_RUN_ID:-}"
umask 0002
# Whoever may write the folder could leave a link there, through which somebody else would write.
if [[ -L $lock ]]; then fail 2 "$lock: is a link: remove it, and look who has made it"; fi
if ! [[ -e $lock ]] && ! (: >"$lock") 2>/dev/null; then
    fail 2 "$lock: is not there, and cannot be made: make it, as docs/runners.md says"
fi
if ! [[ -f $lock && -r $lock && -w $lock ]]; then fail 2 "$lock: is no file that can be written"; fi
exec 9<"$lock"
if [[ $(readlink "/proc/$$/fd/9") != "$(cd "$locks" && pwd -P)/$card.lock" ]]; then
    fail 2 "$lock: leads somewhere else: look who has changed it"
fi
if ! flock --exclusive --nonblock 9; then
    printf 'with-card: %s is taken by %s: waiting up to %s s\n' \
        "$card" "$(head -c 200 "$lock" | tr -dc '[:print:]')" "$wait_s" >&2
    flock --exclusive --timeout "$wait_s" 9 || fail 75 "$card was not free within $wait_s s"
fi
# Who holds it, for whoever waits. The lock is what the kernel holds, not this text.
printf '%s\n' "$holder" >"/proc/$$/fd/9"

# A variable such as LD_PRELOAD, left for later steps, would reach the one that uploads with a token.
hidden=()
while read -r name; do
    case $name in
        GITHUB_ACTIONS | GITHUB_REPOSITORY | GITHUB_RUN_ID) ;;
        ACTIONS_* | GITHUB_* | GH_* | INPUT_* | STATE_*) hidden+=(-u "$name") ;;
    esac
done < <(compgen -e)
if [[ ${GITHUB_ACTIONS:-} == true ]]; then
    # Until this step ends; nobody learns the word that would end it before.
    printf '::stop-commands::%s\n' "$(</proc/sys/kernel/random/uuid)"
fi
# What the command starts inherits the lock: a process that outlives the job keeps the card.
exec env "${hidden[@]}" "$@"
