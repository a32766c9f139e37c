# Sourced by up: Debian packages. Nothing is installed where everything is there already, so that a second run is quick.

# want THING: may THING be missing? No if COFRE_TEST_REQUIRE names it.
required() { case ",${COFRE_TEST_REQUIRE:-}," in *",$1,"*) return 0 ;; *) return 1 ;; esac; }

# pg_bin prints the directory of the newest PostgreSQL server on this machine (Debian keeps initdb off PATH).
pg_bin() {
  local dir
  for dir in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -t/ -k5 -rn); do
    [ -x "$dir/initdb" ] && { printf '%s\n' "$dir"; return; }
  done
  dir=$(command -v initdb) && dirname "$dir"
}

# debian_boto3: Debian's own interpreter with Debian's own boto3, beside whatever python3 on PATH has.
debian_boto3() { [ -x /usr/bin/python3 ] && /usr/bin/python3 -c 'import boto3'; }

# fuse: may file systems be mounted here? Containers often have no /dev/fuse, or one that cannot be opened.
fuse() { : <>/dev/fuse; }

has() {
  case $1 in
    postgres) pg_bin ;;
    redis) command -v redis-server ;;
    rgw) command -v ceph-mon && command -v ceph-osd && command -v ceph && command -v monmaptool &&
      command -v radosgw && command -v radosgw-admin && command -v curl ;;
    boto3) debian_boto3 || python3 -c 'import boto3' ;;
    s3fs) command -v s3fs && fuse ;;
    s5cmd) [ -x "$(s5cmd_dir)/s5cmd" ] ;;
    js) command -v node && [ -e "$(js_stamp)" ] ;;
    softhsm2) command -v softhsm2-util ;;
    *) command -v "$1" ;;
  esac >/dev/null 2>&1
}

# lacking THING prints the Debian packages that are to be installed for it. Debian's aws and boto3 are wanted even where PATH
# has others: both are tested.
lacking() {
  case $1 in
    postgres) has postgres || echo postgresql ;;
    redis) has redis || echo redis-server ;;
    rgw) has rgw || echo ceph-mon ceph-osd ceph-common radosgw curl ;;
    aws) [ -x /usr/bin/aws ] || echo awscli ;;
    boto3) debian_boto3 2>/dev/null || echo python3-boto3 ;;
    js)
      command -v node >/dev/null || echo nodejs
      command -v npm >/dev/null || echo npm
      ;;
    softhsm2) has softhsm2 || echo softhsm2 ;;
    s5cmd) ;; # no package of Debian: clients.sh builds it
    *) command -v "$1" >/dev/null || echo "$1" ;;
  esac
}

# why_without THING prints the reason why a client is missing.
why_without() {
  if [ "$1" = s3fs ] && command -v s3fs >/dev/null; then
    echo '/dev/fuse cannot be opened'
  elif [ -s "$DIR/log/$1.out" ]; then
    echo "did not install: $(last_words "$1")"
  else
    echo 'not installed'
  fi
}

# install THING..: puts what is missing of THINGs on this machine if it is Debian and we are root; else does nothing.
install() {
  local thing packages=()
  for thing; do
    # shellcheck disable=SC2207 # a list of plain words
    packages+=($(lacking "$thing"))
  done
  [ ${#packages[@]} -gt 0 ] || return 0
  if [ ! -e /etc/debian_version ] || ! command -v apt-get >/dev/null; then
    say "not Debian: cannot install ${packages[*]}"
    return 0
  fi
  if [ "$(id -u)" != 0 ]; then
    say "not root: cannot install ${packages[*]}"
    return 0
  fi
  say "installing ${packages[*]}"
  # Another apt-get may be at work; wait for it. What these packages start or create by themselves (a PostgreSQL cluster,
  # a Redis on its usual port) is left alone: the environment never uses it.
  local apt=(apt-get -q -y -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3)
  {
    "${apt[@]}" update &&
      DEBIAN_FRONTEND=noninteractive "${apt[@]}" install --no-install-recommends "${packages[@]}"
  } </dev/null >>"$DIR/log/apt.out" 2>&1 || say "apt-get did not succeed; see $DIR/log/apt.out: $(tail -n 1 "$DIR/log/apt.out")"
}
