# A clean Debian with a systemd of its own, in namespaces below target/; tests/package reads this. Needs root.
suite=bookworm
base=target/package/$suite
scratch=$(mktemp -d)
root=$scratch/root

# Runs a command; shows what it prints only if it fails.
step() {
    local name=$1 began=$SECONDS code=0
    shift
    printf '%-32s' "$name"
    set +e
    (set -ex; "$@") >"$scratch/log" 2>&1
    code=$?
    set -e
    if [ $code -ne 0 ]; then
        echo "FAILED  $((SECONDS - began)) s"
        cat "$scratch/log"
        if [ -s "$scratch/pid" ]; then inside journalctl --no-pager --lines 60 --unit 'aftersalesd*' --unit sink; fi
        exit 1
    fi
    echo "ok  $((SECONDS - began)) s"
}

# Made once; what is done to it lies in a layer above that goes with this run.
bootstrap() {
    if [ ! -e $base/.whole ]; then
        rm -rf $base
        mkdir -p $base
        debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,ca-certificates,man-db,dovecot-imapd $suite $base
        touch $base/.whole
    fi
    mkdir -p "$scratch/layer" "$scratch/work" "$root"
    mount -t tmpfs tmpfs "$scratch/layer"
    mkdir -p "$scratch/layer/upper" "$scratch/layer/work"
    mount -t overlay overlay -o "lowerdir=$base,upperdir=$scratch/layer/upper,workdir=$scratch/layer/work" "$root"
    # Whoever wants letters from it starts it.
    rm "$root/etc/systemd/system/multi-user.target.wants/dovecot.service"
    mkdir -p "$root/debs"
    cp "$debs"/*.deb "$root/debs/"
    sink >"$root/debs/sink"
    letter >"$root/debs/letter"
    terms >"$root/debs/terms"
    find "$root" -xdev \( -path "$root/proc" -o -path "$root/sys" -o -path "$root/dev" \) -prune -o -print | sort >"$scratch/before"
}

# systemd as process 1 of its own namespaces; none of it reaches this machine's.
boot() {
    cat >"$scratch/init" <<'INIT'
set -e
cd "$1"
mount --make-rprivate /
mount -t proc proc proc
mount -t sysfs -o ro sysfs sys
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
    mount -t cgroup2 cgroup2 sys/fs/cgroup
else
    mount -t tmpfs tmpfs sys/fs/cgroup
    mkdir sys/fs/cgroup/systemd
    mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
fi
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs tmp
mount -t tmpfs tmpfs dev
for device in null zero full random urandom tty; do
    touch dev/$device
    mount --bind /dev/$device dev/$device
done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
mount -t tmpfs tmpfs dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ip link set lo up
hostname box
mkdir -p .host
pivot_root . .host
umount -l /.host
# Services get their credentials by mounts that spread.
mount --make-rshared /
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --log-target=journal --show-status=0
INIT
    # What is below this group is all that it sees.
    local group=/sys/fs/cgroup
    if [ ! -e $group/cgroup.controllers ]; then group+=/systemd; fi
    group+=/aftersalesd-package-$$
    mkdir "$group"
    echo "$group" >"$scratch/group"
    (
        echo "$BASHPID" >"$group/cgroup.procs"
        exec unshare --mount --pid --fork --kill-child --uts --ipc --net --cgroup bash "$scratch/init" "$root"
    ) </dev/null >"$scratch/console" 2>&1 &
    echo $! >"$scratch/unshare"
    for _ in $(seq 300); do
        pgrep -P "$(cat "$scratch/unshare")" >"$scratch/pid" && inside systemctl is-system-running && return
        sleep 0.1
    done
    cat "$scratch/console"
    return 1
}

# A command within the booted system.
inside() {
    nsenter -t "$(cat "$scratch/pid")" --mount --pid --uts --ipc --net --cgroup --root --wd \
        env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}

# Terms that send through the sink; the rest of them, the mailbox above all, is read from standard input.
configure() {
    inside sh -c 'cd /etc/aftersalesd && cat - /debs/terms >config.toml && umask 077 && echo "of the service" >secrets/smtp'
    inside sh -c 'printf "sku,product,aliases,ean,warranty_months\nEX-RUN-BK,RUNNER black,Runner,,24\n" >/etc/aftersalesd/products.csv'
}

# With a bare `!` a step would go on.
fails() {
    ! "$@"
}

as_staff() {
    inside runuser -u aftersalesd -- "$@" --config /etc/aftersalesd/config.toml
}


await_replies() {
    for _ in $(seq "${2:-300}"); do
        test "$(inside sh -c 'ls /run/replies 2>/dev/null | wc -l')" -ge "$1" && return
        sleep 0.1
    done
    inside journalctl --no-pager --unit aftersalesd --unit aftersalesd-once --unit sink
    return 1
}

# Takes mail over SMTP from whoever knows the password, a file each.
sink() {
    cat <<'PERL'
use strict;
use IO::Socket::INET;
mkdir "/run/replies";
my $server = IO::Socket::INET->new(LocalAddr => "127.0.0.1", LocalPort => 2525, Listen => 5, ReuseAddr => 1) or die $!;
$SIG{CHLD} = "IGNORE";
my $count = 0;
while (my $client = $server->accept) {
    ++$count;
    next if fork;
    my ($known, $taken) = (0, 0);
    print $client "220 sink\r\n";
    while (my $line = <$client>) {
        if ($line =~ /^EHLO/i) { print $client "250-sink\r\n250 AUTH PLAIN\r\n" }
        elsif ($line =~ /^AUTH PLAIN (\S+)/i) {
            # "after-sales" and "of the service" in base64.
            $known = $1 eq "AGFmdGVyLXNhbGVzAG9mIHRoZSBzZXJ2aWNl";
            print $client $known ? "235 known\r\n" : "535 unknown\r\n";
        }
        elsif ($line =~ /^DATA/i && $known) {
            print $client "354 go on\r\n";
            my ($name, $text) = (time . "-$$-$count-" . ++$taken, "");
            open my $file, ">", "/run/replies/.$name" or die $!;
            while ($text = <$client>) { last if $text eq ".\r\n"; print $file $text }
            close $file;
            # What was cut off was not taken.
            exit unless defined $text;
            rename "/run/replies/.$name", "/run/replies/$name";
            print $client "250 taken\r\n";
        }
        elsif ($line =~ /^QUIT/i) { print $client "221 bye\r\n"; last }
        elsif ($known || $line =~ /^(RSET|NOOP)/i) { print $client "250 well\r\n" }
        else { print $client "530 who are you\r\n" }
    }
    exit;
}
PERL
}

terms() {
    cat <<'TOML'
[delivery]
kind = "smtp"
host = "127.0.0.1"
port = 2525
security = "none"
user = "after-sales"
password_file = "secrets/smtp"
from = "After-Sales <after-sales@example.com>"
[store]
path = "/var/lib/aftersalesd/store"
[catalogue]
file = "products.csv"
TOML
}

letter() {
    printf 'From: Kim Park <kimNUMBER@example.net>\r\nTo: after-sales@example.com\r\nSubject: Runner does not charge\r\n'
    printf 'Message-ID: <NUMBER@example.net>\r\nDate: %s\r\n\r\nHello,\r\n\r\nmy Runner does not charge since Monday.\r\n\r\nKim\r\n' "$(date -R)"
}

clean_up() {
    if [ -s "$scratch/unshare" ]; then
        # Whatever runs in its namespace ends with its first process.
        kill -9 "$(cat "$scratch/pid" 2>/dev/null)" 2>/dev/null || true
        # Its parent follows when all of them are gone.
        tail --pid="$(cat "$scratch/unshare")" -f /dev/null
        find "$(cat "$scratch/group")" -depth -type d -exec rmdir {} + || true
    fi
    umount "$root" 2>/dev/null || true
    umount "$scratch/layer" 2>/dev/null || true
    rm -rf --one-file-system "$scratch"
}
trap clean_up EXIT
