# Sourced by up: one private Redis, in memory only.

redis_start() {
  local port
  port=$(free_port)
  mkdir -p "$DIR/redis"
  spawn redis redis-server --bind 127.0.0.1 --port "$port" --dir "$DIR/redis" --daemonize no --save '' --appendonly no
  wait_for redis 20 redis_pong "$port" || return 1
  set_env COFRE_TEST_REDIS "redis://127.0.0.1:$port/0"
}

# redis_pong PORT: our own Redis, not something else that took the port: a stranger's process would not have ended ours.
redis_pong() {
  local answer
  exec 4<>"/dev/tcp/127.0.0.1/$1" || return 1
  printf 'PING\r\n' >&4
  IFS= read -r -t 2 answer <&4
  exec 4>&-
  [ "${answer%$'\r'}" = +PONG ] && pid_of redis >/dev/null
}

redis_stop() { end redis TERM 10; }
