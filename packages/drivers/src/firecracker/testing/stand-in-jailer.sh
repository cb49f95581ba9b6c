#!/bin/sh
# Takes the arguments of Firecracker's jailer and makes the same folders, but shuts nothing in and keeps its user: what it
# becomes takes its own folder for its root. For tests.
refuse() {
  echo "jailer: $1" >&2
  exit 1
}

base=/srv/jailer
while [ $# -gt 0 ]; do
  name=$1
  shift
  case $name in
    --) break ;;
    --id) id=$1 ;;
    --exec-file) program=$1 ;;
    --uid) uid=$1 ;;
    --gid) gid=$1 ;;
    --chroot-base-dir) base=$1 ;;
    --resource-limit)
      case $1 in
        fsize=*[!0-9]* | no-file=*[!0-9]*) refuse "$1 is no limit" ;;
        fsize=?* | no-file=?*) ;;
        *) refuse "$1 is no limit" ;;
      esac
      ;;
    --cgroup-version | --parent-cgroup | --cgroup | --netns) ;;
    *) refuse "$name is not known, or makes another process" ;;
  esac
  shift
done
case $id in '' | *[!0-9A-Za-z-]*) refuse 'invalid microVM ID' ;; esac
[ ${#id} -le 64 ] || refuse 'invalid microVM ID'
for number in "$uid" "$gid"; do
  case $number in '' | 0* | *[!0-9]*) refuse 'invalid uid or gid' ;; esac
done
file=${program##*/}
case $file in *firecracker*) ;; *) refuse 'the exec file is not named after firecracker' ;; esac
[ -f "$program" ] || refuse 'the exec file is no file'

STAND_IN_JAIL="$base/$file/$id/root"
export STAND_IN_JAIL
mkdir -p "$STAND_IN_JAIL/run" && cp "$program" "$STAND_IN_JAIL/" && cd "$STAND_IN_JAIL" || refuse 'no jail'
exec "./$file" "--id=$id" --start-time-us=1 --start-time-cpu-us=1 "$@"
