# Sourced by up, down, status and run: the private directory, its processes and its ports.
#
# Everything that a test environment owns lies in one directory DIR:
#   DIR/env        what tests source: COFRE_TEST_* variables
#   DIR/missing    one line for each thing that could not be had, with the reason
#   DIR/proc/NAME  "pid starttime" of a process started here
#   DIR/log/       output of every process and tool

say() { printf 'testenv: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# open_dir DIR: sets the global DIR (absolute). A directory that is neither empty nor ours is refused, because down deletes it.
open_dir() {
  [ -n "${1:-}" ] || die "a directory is needed"
  mkdir -p "$1"
  DIR=$(cd "$1" && pwd -P)
  # Unix socket paths end at 107 bytes; Ceph's longest here is DIR/run/client.rgw.<pid>.asok.
  [ ${#DIR} -le 70 ] || die "$DIR is too long: the socket paths in it would pass 107 bytes"
  if [ ! -e "$DIR/.cofre-testenv" ] && [ -n "$(ls -A "$DIR")" ]; then
    die "$DIR is not empty and was not made by testenv"
  fi
  touch "$DIR/.cofre-testenv"
  # The database runs as another user than root and has to pass through.
  chmod 0711 "$DIR"
  mkdir -p "$DIR/proc" "$DIR/log"
}

# start_time PID prints when the process began (clock ticks since boot), or fails if it is gone. A zombie counts as gone.
# Pid and start time together name one process for good; a pid alone may have been given to another one meanwhile.
start_time() {
  local stat
  { read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
  # The second field is the command in parentheses and may hold spaces, so count from behind it.
  # shellcheck disable=SC2086 # split into fields on purpose
  set -- ${stat##*) }
  [ "$1" != Z ] || return 1
  printf '%s\n' "${20}"
}

# spawn NAME CMD..: starts CMD in a session of its own, out of reach of a terminal's Ctrl-C, and records it.
spawn() {
  local name=$1 pid
  shift
  setsid "$@" </dev/null >>"$DIR/log/$name.out" 2>&1 &
  pid=$!
  printf '%s %s\n' "$pid" "$(start_time "$pid")" >"$DIR/proc/$name"
  disown "$pid"
}

# pid_of NAME prints the pid of a process started here, or fails if it is gone.
pid_of() {
  local pid started
  { read -r pid started <"$DIR/proc/$1"; } 2>/dev/null || return 1
  [ -n "$started" ] && [ "$(start_time "$pid")" = "$started" ] || return 1
  printf '%s\n' "$pid"
}

# end NAME SIGNAL SECONDS: sends SIGNAL, and SIGKILL once SECONDS have gone by.
end() {
  local name=$1 signal=$2 limit=$3 pid i
  if pid=$(pid_of "$name"); then
    kill -s "$signal" "$pid" 2>/dev/null || true
    for ((i = 0; i < limit * 20; i++)); do
      pid_of "$name" >/dev/null || break
      sleep 0.05
    done
    if pid_of "$name" >/dev/null; then
      say "$name did not end within $limit s of SIG$signal; SIGKILL"
      kill -s KILL "$pid" 2>/dev/null || true
    fi
  fi
  rm -f "$DIR/proc/$name"
}

# port_open PORT: does anything listen on loopback?
port_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# free_port prints a port that nobody listens on, below the range the kernel hands out to outgoing connections.
# Another environment may take it before we do: whoever starts a service tries again with a new one.
free_port() {
  local port
  while :; do
    port=$((20000 + RANDOM % 12000))
    port_open "$port" || { printf '%s\n' "$port"; return; }
  done
}

# wait_for NAME SECONDS CMD..: until CMD succeeds, while NAME lives.
wait_for() {
  local name=$1 limit=$2 i
  shift 2
  for ((i = 0; i < limit * 10; i++)); do
    "$@" >/dev/null 2>&1 && return 0
    pid_of "$name" >/dev/null || return 1
    sleep 0.1
  done
  return 1
}

# attempt START STOP: up to three times, since a free port may be gone by the time it is used.
attempt() {
  local i
  for i in 1 2 3; do
    "$1" && return 0
    "$2"
  done
  return 1
}

# random_hex BYTES
random_hex() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

# set_env NAME VALUE: one line of DIR/env.
set_env() { printf 'export %s=%q\n' "$1" "$2" >>"$DIR/env"; }

# leave_out THING REASON: notes what the tests will have to do without.
leave_out() {
  say "without $1: $2"
  printf '%s: %s\n' "$1" "$2" >>"$DIR/missing"
}

# last_words NAME: why a process ended, on one line.
last_words() { tail -n 1 "$DIR/log/$1.out" 2>/dev/null | cut -c 1-200; }
