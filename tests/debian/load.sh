# An hour as it would be in years: letters keep coming while every server is restarted, the daemon is killed, reloaded,
# backed up, its log rotated. tests/package reads this.
seconds_of_load=${SECONDS_OF_LOAD:-3600}

under_load() {
    step "answers what is in Dovecot" starts_at_dovecot
    step "letters for $seconds_of_load s" load
    step "nothing lost, no two answers" all_answered
    cat "$scratch/figures"
}

# The mailbox is Dovecot's. What is taken in must all be answered, so nothing of the policy holds an answer back.
starts_at_dovecot() {
    inside sh -c 'cat >/etc/dovecot/dovecot.conf' <<'CONF'
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
mail_location = maildir:/var/mail/after-sales
mail_uid = mail
mail_gid = mail
first_valid_uid = 1
mail_max_userip_connections = 50
passdb {
    driver = static
    args = password=of_the_mailbox
}
userdb {
    driver = static
    args = uid=mail gid=mail home=/var/mail/after-sales
}
CONF
    inside install -d -m 700 -o mail -g mail /var/mail/after-sales{,/cur,/new,/tmp}
    inside systemctl restart dovecot
    configure <<'TOML'
[mailbox]
kind = "imap"
host = "127.0.0.1"
security = "none"
user = "after-sales"
password_file = "secrets/imap"
[limits]
replies_per_hour = 100000
TOML
    inside sh -c 'umask 077 && echo of_the_mailbox >/etc/aftersalesd/secrets/imap'
    inside install -d -m 700 -o aftersalesd -g aftersalesd /var/backups/aftersalesd
    inside sh -c 'cat >/etc/systemd/system/sink.service' <<'UNIT'
[Service]
ExecStart=perl /debs/sink
UNIT
    into_dovecot 0
    inside systemctl start sink
    inside systemctl enable --now aftersalesd.service
    await_replies 1
}

# A letter, every tenth of them with a photo.
into_dovecot() {
    local maildir=$root/var/mail/after-sales
    sed "s/NUMBER/$1/" "$root/debs/letter" >"$maildir/tmp/$1.host"
    if [ $(($1 % 10)) = 0 ]; then
        sed -i 's/^Date:/MIME-Version: 1.0\r\nContent-Type: multipart\/mixed; boundary=cut\r\nDate:/; s/^Hello/--cut\r\n\r\n&/' \
            "$maildir/tmp/$1.host"
        {
            printf -- '--cut\r\nContent-Type: image/jpeg; name=IMG_%s.jpg\r\nContent-Transfer-Encoding: base64\r\n\r\n' "$1"
            base64 src/app/demo/photos/watch-striped-display.jpg
            printf -- '--cut--\r\n'
        } >>"$maildir/tmp/$1.host"
    fi
    chown --reference="$maildir" "$maildir/tmp/$1.host"
    mv "$maildir/tmp/$1.host" "$maildir/new/$1.host"
}

load() {
    local end=$((SECONDS + seconds_of_load)) disturbance feeder
    feed >"$scratch/feeding" 2>&1 &
    feeder=$!
    while [ $SECONDS -lt $end ]; do
        # $RANDOM: what meets what is never the same twice.
        disturbance=${disturbances[RANDOM % ${#disturbances[@]}]}
        echo "$disturbance" >>"$scratch/disturbed"
        $disturbance
        kill -0 $feeder
        sleep $((RANDOM % 20 + 5))
    done
    kill $feeder
    wait $feeder
}

# Until it is told to stop; leaves the number of letters.
feed() {
    local next=1 stop=
    trap 'stop=1' TERM
    while [ -z "$stop" ]; do
        into_dovecot $next
        next=$((next + 1))
        sleep 0.5
    done
    echo $next >"$scratch/fed"
}

disturbances=(restart_imap imap_away restart_smtp smtp_away restart_it kill_it reload_it refuse_a_reload rotate_the_log back_it_up
    ask_it)
restart_imap() { inside systemctl restart dovecot; }
imap_away() { inside sh -c 'systemctl stop dovecot; sleep 20; systemctl start dovecot'; }
restart_smtp() { inside systemctl restart sink; }
smtp_away() { inside sh -c 'systemctl stop sink; sleep 40; systemctl start sink'; }
restart_it() { inside systemctl restart aftersalesd; }
# systemd starts it again, half a minute later.
kill_it() { inside systemctl kill --signal KILL aftersalesd; }
reload_it() { inside systemctl reload aftersalesd || is_down; }
refuse_a_reload() {
    inside sh -c 'echo "unknown = 1" >>/etc/aftersalesd/config.toml'
    fails inside systemctl reload aftersalesd
    inside sed -i '$d' /etc/aftersalesd/config.toml
}
rotate_the_log() { inside journalctl --rotate --vacuum-size 8M; }
back_it_up() {
    inside rm -rf /var/backups/aftersalesd/last
    as_staff aftersalesd backup /var/backups/aftersalesd/last || is_down
    is_down || inside runuser -u aftersalesd -- aftersalesd verify /var/backups/aftersalesd/last
}
ask_it() { as_staff aftersalesd cases list >/dev/null || is_down; }
is_down() { fails inside systemctl is-active aftersalesd; }

all_answered() {
    local letters mailbox=/var/mail/after-sales
    letters=$(cat "$scratch/fed")
    test "$(inside sh -c "ls $mailbox/new $mailbox/cur | grep -c host")" = "$letters"
    for _ in $(seq 120); do
        answers >"$scratch/answers"
        test "$(cut -d' ' -f2 "$scratch/answers" | sort -u | wc -l)" -lt "$letters" || break
        sleep 5
    done
    test "$(cut -d' ' -f2 "$scratch/answers" | sort -u | wc -l)" = "$letters"
    # A second try has the Message-ID of the first.
    test "$(wc -l <"$scratch/answers")" = "$letters"
    inside systemctl is-active aftersalesd dovecot sink
    inside aftersalesd audit --config /etc/aftersalesd/config.toml
    as_staff aftersalesd verify
    {
        echo "$letters letters, $(inside sh -c 'ls /run/replies | wc -l') replies taken by the SMTP server, disturbed:"
        sort "$scratch/disturbed" | uniq -c
        inside sh -c 'grep VmRSS "/proc/$(systemctl show -P MainPID aftersalesd)/status"; du -sh /var/lib/aftersalesd/store'
    } >"$scratch/figures"
}

# In-Reply-To and Message-ID of what was sent, each pair once.
answers() {
    inside perl -ne '
        if (/^(in-reply-to|message-id):\s*(\S+)/i) { $head{lc $1} = $2 }
        if (/^\r?$/) { $seen{"answer $head{q(in-reply-to)} $head{q(message-id)}"} = 1; %head = (); close ARGV }
        END { print "$_\n" for sort keys %seen }' $(inside sh -c 'ls -d /run/replies/*')
}
