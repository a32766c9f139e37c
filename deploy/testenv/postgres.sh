# Sourced by up: one private PostgreSQL. Nothing in it is worth an fsync.

postgres_start() {
  local bin port password as=()
  bin=$(pg_bin)
  port=$(free_port)
  rm -rf "$DIR/postgres"
  mkdir -p "$DIR/postgres/data" "$DIR/postgres/run"
  password=$(random_hex 16)
  # The server refuses to run as root.
  if [ "$(id -u)" = 0 ]; then
    local user=nobody
    ! id -u postgres >/dev/null 2>&1 || user=postgres
    as=(setpriv "--reuid=$user" "--regid=$(id -g "$user")" --clear-groups --)
    printf '%s\n' "$password" >"$DIR/postgres/password"
    chown -R "$user:" "$DIR/postgres"
  else
    printf '%s\n' "$password" >"$DIR/postgres/password"
  fi
  # From a directory that the other user may enter.
  (
    cd / && "${as[@]}" "$bin/initdb" -D "$DIR/postgres/data" -U cofre -A scram-sha-256 --pwfile "$DIR/postgres/password" \
      -E UTF8 --no-locale --no-sync
  ) >>"$DIR/log/postgres.out" 2>&1 || return 1
  # 300 connections: test packages run beside each other, each with pools of its own.
  (
    cd / && spawn postgres "${as[@]}" "$bin/postgres" -D "$DIR/postgres/data" -p "$port" -c listen_addresses=127.0.0.1 \
      -c unix_socket_directories="$DIR/postgres/run" -c max_connections=300 -c shared_buffers=128MB \
      -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c autovacuum_naptime=10s
  )
  # pg_isready tells a server that is starting from one that answers; the listener alone does not.
  wait_for postgres 30 "$bin/pg_isready" -q -h 127.0.0.1 -p "$port" || return 1
  set_env COFRE_TEST_POSTGRES "postgres://cofre:$password@127.0.0.1:$port/postgres?sslmode=disable"
}

# SIGINT is PostgreSQL's fast shutdown: sessions are ended, no waiting for clients.
postgres_stop() { end postgres INT 20; }
