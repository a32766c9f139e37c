# Sourced by up: S3 clients that are no Debian packages. Each is pinned and checked against committed checksums, and nothing
# is built or fetched where it is there already. Proxies and registries of whoever calls are used as they are.

TREE=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
S5CMD_MODULE=$TREE/e2e/testdata/s5cmd
JS_PACKAGE=$TREE/e2e/testdata/js

# pin FILE..: one word that changes with the files that say which version is wanted.
pin() { cat "$@" | sha256sum | cut -c 1-16; }

# s5cmd_dir prints where the s5cmd of go.sum lies; tests find it there by PATH.
s5cmd_dir() { printf '%s\n' "$TREE/.tools/s5cmd-$(pin "$S5CMD_MODULE"/go.{mod,sum})"; }

# A module of its own and not `go install module@version`: its go.sum is committed, so the dependencies are pinned too.
s5cmd_build() {
  CGO_ENABLED=0 GOFLAGS=-mod=readonly go build -C "$S5CMD_MODULE" -trimpath -o "$(s5cmd_dir)/s5cmd" github.com/peak/s5cmd/v2
}

# The name of this file in node_modules says which lock file was installed: npm writes it last, if all went well.
js_stamp() { printf '%s\n' "$JS_PACKAGE/node_modules/.installed-$(pin "$JS_PACKAGE"/package{,-lock}.json)"; }

js_install() {
  (cd "$JS_PACKAGE" && npm ci --ignore-scripts --no-audit --no-fund) && touch "$(js_stamp)"
}

# build_client NAME CMD..: makes what has NAME says is missing, one environment at a time.
build_client() {
  local name=$1
  shift
  has "$name" && return
  mkdir -p "$TREE/.tools"
  (
    flock 9
    has "$name" && exit
    say "installing $name"
    "$@" </dev/null >>"$DIR/log/$name.out" 2>&1 || say "$name did not install; see $DIR/log/$name.out: $(last_words "$name")"
  ) 9>"$TREE/.tools/lock"
}

build_clients() {
  command -v go >/dev/null && build_client s5cmd s5cmd_build
  command -v npm >/dev/null && build_client js js_install
  if has s5cmd; then
    printf 'export PATH=%q:"$PATH"\n' "$(s5cmd_dir)" >>"$DIR/env"
  fi
}
