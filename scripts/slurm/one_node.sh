#!/usr/bin/env bash
# A Slurm of one node on this machine, to try the other scripts of this folder where there is no
# cluster. It needs the packages slurm-wlm and munge and must be started by root; everything that it
# writes lies in one folder, and nothing of the machine's own Slurm is used.
#
#   eval "$(scripts/slurm/one_node.sh start /tmp/slurm 4)"    four slots, each with a stand-in GPU
#   sbatch ...
#   scripts/slurm/one_node.sh stop /tmp/slurm
#
# `start` prints the variables that the Slurm commands need, once the node takes jobs.
set -euo pipefail

[ $# -ge 2 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2; }
action=$1 folder=$2 slots=${3:-4}

stop() {
    for name in slurmd slurmctld munged; do
        if [ -s "$folder/$name.pid" ]; then
            kill "$(cat "$folder/$name.pid")" 2> /dev/null || true
            rm -f "$folder/$name.pid"
        fi
    done
}

if [ "$action" = stop ]; then
    stop
    exit 0
fi
[ "$action" = start ] || { echo "one_node.sh: $action: must be start or stop" >&2; exit 2; }
for program in munged slurmctld slurmd sinfo; do
    command -v "$program" > /dev/null || {
        echo "one_node.sh: $program is absent: apt-get install slurm-wlm munge" >&2
        exit 2
    }
done

mkdir -p "$folder/state" "$folder/spool"
folder=$(cd "$folder" && pwd)
chmod 755 "$folder"
( umask 077 && head -c 1024 /dev/urandom > "$folder/munge.key" )
host=$(hostname -s)
read -r control node <<< "$(python3 -c '
import socket
found = [socket.socket() for _ in range(2)]
for each in found:
    each.bind(("127.0.0.1", 0))
print(*(each.getsockname()[1] for each in found))')"

cat > "$folder/slurm.conf" << CONF
ClusterName=one_node
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$control
SlurmdPort=$node
SlurmUser=$(id -un)
AuthType=auth/munge
AuthInfo=socket=$folder/munge.socket
CredType=cred/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
# Containers seldom give their cgroups away.
ProctrackType=proctrack/pgid
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName=$host NodeAddr=127.0.0.1 CPUs=$slots Gres=gpu:$slots State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=INFINITE State=UP
CONF
# Stand-ins, of which Slurm gives each job one and says which in CUDA_VISIBLE_DEVICES.
echo "NodeName=$host Name=gpu Count=$slots File=/dev/tty[0-$((slots - 1))]" > "$folder/gres.conf"
echo "CgroupAutomount=no" > "$folder/cgroup.conf"

export SLURM_CONF=$folder/slurm.conf
munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" \
    --pid-file="$folder/munged.pid" --log-file="$folder/munged.log" \
    --seed-file="$folder/munged.seed" > "$folder/munged.out" 2>&1
slurmctld -f "$SLURM_CONF" > "$folder/slurmctld.out" 2>&1
slurmd -f "$SLURM_CONF" > "$folder/slurmd.out" 2>&1

for _ in $(seq 60); do
    if [ "$(sinfo -h -o %T 2> /dev/null)" = idle ]; then
        echo "export SLURM_CONF=$SLURM_CONF"
        exit 0
    fi
    sleep 0.5
done
echo "one_node.sh: the node takes no jobs; look at $folder/*.log and *.out" >&2
stop
exit 1
