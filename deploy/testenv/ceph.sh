# Sourced by up: the smallest Ceph that has an S3 gateway: one monitor, one OSD that keeps its data in memory, one radosgw.
# No manager, no cephx, nothing in /etc/ceph, /var/lib/ceph, /var/run/ceph or /var/log/ceph.

# The gateway refuses bodies above this. Its default is 5 GiB, which is S3's limit for one PUT or part; a sealed body of that
# size is longer: 64 bytes of header, 16 for each of 81,920 chunks, 80 of footer (docs/FORMAT.md section 3).
readonly RGW_MAX_PUT_SIZE=$((5 * 1024 ** 3 + 64 + 16 * 81920 + 80))

# 32 bytes each, base64: "cofre test environment, key  one" and "... two".
readonly RGW_KMS_KEYS="testkey-1=Y29mcmUgdGVzdCBlbnZpcm9ubWVudCwga2V5ICBvbmU= testkey-2=Y29mcmUgdGVzdCBlbnZpcm9ubWVudCwga2V5ICB0d28="

ceph_conf() {
  local fsid=$1 mon_port=$2 rgw_port=$3
  cat <<CONF
[global]
fsid = $fsid
mon host = [v2:127.0.0.1:$mon_port]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
# Loopback only and one user: no keys to make. None of the three may be left out.
auth cluster required = none
auth service required = none
auth client required = none
run dir = $DIR/run
admin socket = $DIR/run/\$name.\$pid.asok
pid file = $DIR/run/\$name.pid
log file = $DIR/log/\$name.log
mon cluster log file = $DIR/log/cluster.log
crash dir = $DIR/crash
keyring = $DIR/keyring
osd pool default size = 1
osd pool default min size = 1
# 0 spreads copies over OSDs; the default, over hosts, cannot be had with one.
osd crush chooseleaf type = 0
osd pool default pg num = 4
osd pool default pgp num = 4
# The autoscaler lives in the manager.
osd pool default pg autoscale mode = off
rgw rados pool pg num min = 4

[mon]
mon data = $DIR/mon
mon initial members = a
mon allow pool size one = true
mon warn on pool no redundancy = false
# A monitor ends itself when the disk is 95 % full; this one needs a few MB.
mon data avail warn = 1
mon data avail crit = 1
# Each pool that radosgw makes is a round of paxos, of a second by default.
paxos propose interval = 0.05
paxos min wait = 0.01

[osd]
osd data = $DIR/osd
osd objectstore = memstore
memstore device bytes = $((16 * 1024 ** 3))
osd class update on start = false
osd op num shards = 2
osd op num threads per shard = 2
# Each log entry holds on to some KiB in memstore, by default for 10,000 entries a placement group. With one copy there is
# nobody to catch up.
osd target pg log entries per osd = 2400
osd min pg log entries = 100
osd max pg log entries = 200
osd pg log dups tracked = 100

[client]
rgw data = $DIR/rgw

[client.rgw]
# Head and body of an answer are two writes: without tcp_nodelay a small GET waits 40 ms for the reader's acknowledgement.
rgw frontends = beast endpoint=127.0.0.1:$rgw_port tcp_nodelay=1
# radosgw alone defaults to "secure" here, which needs cephx: it would retry for five minutes and give up.
ms mon client mode = crc
rgw max put size = $RGW_MAX_PUT_SIZE
# Replaced and deleted data is memory here: free it after a minute, not after two hours.
rgw gc obj min wait = 60
rgw gc processor period = 60
rgw gc processor max time = 60
# A lifecycle day lasts ten seconds.
rgw lc debug interval = 10
# The gateway's own encryption: over plain HTTP, with two keys that stand here and protect nothing.
rgw crypt require ssl = false
rgw crypt s3 kms backend = testing
rgw crypt s3 kms encryption keys = $RGW_KMS_KEYS
CONF
}

rgw_admin() { timeout 60 radosgw-admin -c "$DIR/ceph.conf" -n client.rgw "$@"; }

# storage_class NAME: one beside STANDARD, in the same pool. The gateway reads its zone once, so this comes before it starts.
storage_class() {
  rgw_admin zonegroup placement add --rgw-zonegroup default --placement-id default-placement --storage-class "$1" &&
    rgw_admin zone placement add --rgw-zone default --placement-id default-placement --storage-class "$1" \
      --data-pool default.rgw.buckets.data
}

rgw_answers() { curl -s -o /dev/null --max-time 2 --noproxy '*' "http://127.0.0.1:$1/" && pid_of client.rgw >/dev/null; }

ceph_start() {
  local fsid mon_port rgw_port osd_uuid conf="$DIR/ceph.conf" log="$DIR/log/ceph-setup.out"
  local malloc=(env MALLOC_ARENA_MAX=2 MALLOC_MMAP_THRESHOLD_=65536 MALLOC_TRIM_THRESHOLD_=1048576)
  rm -rf "${DIR:?}"/{mon,osd,rgw,run,crash,monmap,ceph.conf}
  mkdir -p "$DIR"/{mon,osd,rgw,run,crash}
  fsid=$(cat /proc/sys/kernel/random/uuid)
  osd_uuid=$(cat /proc/sys/kernel/random/uuid)
  mon_port=$(free_port) rgw_port=$(free_port)
  ceph_conf "$fsid" "$mon_port" "$rgw_port" >"$conf"
  {
    monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$mon_port]" "$DIR/monmap" &&
      ceph-mon -c "$conf" --mkfs -i a --monmap "$DIR/monmap"
  } >>"$log" 2>&1 || return 1
  # -f keeps a daemon in the foreground, so that its pid is known from the first moment.
  spawn mon.a "${malloc[@]}" ceph-mon -f -c "$conf" -i a
  wait_for mon.a 30 port_open "$mon_port" || return 1
  {
    timeout 60 ceph -c "$conf" --connect-timeout 30 osd new "$osd_uuid" 0 &&
      ceph-osd -c "$conf" -i 0 --mkfs --osd-uuid "$osd_uuid"
  } >>"$log" 2>&1 || return 1
  spawn osd.0 "${malloc[@]}" ceph-osd -f -c "$conf" -i 0
  # The first command of radosgw-admin makes the zone and waits for the OSD; the gateway then finds its users ready.
  local site alt
  site=$(random_hex 20) alt=$(random_hex 20)
  {
    rgw_admin user create --uid cofre-site --display-name 'cofre site' --key-type s3 --access-key COFRESITE --secret "$site" &&
      rgw_admin user create --uid cofre-alt --display-name 'cofre mapped identity' --key-type s3 --access-key COFREALT --secret "$alt" &&
      storage_class LUKEWARM && storage_class FROZEN
  } >>"$log" 2>&1 || return 1
  spawn client.rgw "${malloc[@]}" radosgw -f -c "$conf" -n client.rgw
  wait_for client.rgw 60 rgw_answers "$rgw_port" || return 1
  set_env COFRE_TEST_RGW "http://127.0.0.1:$rgw_port"
  set_env COFRE_TEST_RGW_UID cofre-site
  set_env COFRE_TEST_RGW_ACCESS_KEY COFRESITE
  set_env COFRE_TEST_RGW_SECRET_KEY "$site"
  set_env COFRE_TEST_RGW_ALT_UID cofre-alt
  set_env COFRE_TEST_RGW_ALT_ACCESS_KEY COFREALT
  set_env COFRE_TEST_RGW_ALT_SECRET_KEY "$alt"
}

# Nothing is kept, so nobody waits for a clean end: radosgw alone takes four seconds for it.
ceph_stop() {
  local name
  for name in client.rgw osd.0 mon.a; do end "$name" KILL 10; done
}
