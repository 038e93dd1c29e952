//! A mailbox that people write to while the program is killed again and again, and what each of them may expect.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::passes::Post;
use crate::support::letter;
use crate::support::post::{Draft, Reply};
use crate::support::program::{Daemon, FROM, await_that, sample};

/// A mail that holds this makes the step that reads it panic.
const BREAKS: &str = "This mail is to break a step.";
/// So small that segments of the archive are full after a few mails.
const SEGMENT: &str = "6000";

/// A mail as it was planned, with every copy of it that was delivered.
pub struct Mail {
    pub kind: Kind,
    pub copies: Vec<String>,
}

/// Who wrote it, and so what has to become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// Opens a case; gets one reply.
    Claim { address: String },
    /// In the thread of a reply: joins the case of that customer.
    Answer { address: String },
    /// Bounce, auto-reply, newsletter: gets no reply and opens no case.
    Machine,
    /// Can't be read: to quarantine.
    Broken,
}

/// How a run of the program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    Itself,
    Killed(String),
}

pub struct Town {
    pub post: Post,
    pub random: fastrand::Rng,
    pub mails: Vec<Mail>,
    /// How many replies had been accepted when each run began, and how it ended.
    pub runs: Vec<(usize, End)>,
    answered: BTreeSet<String>,
    number: usize,
}

impl Town {
    pub fn start(seed: u64) -> Self {
        let post = Post::start_with("poll_interval = \"10m\"\n");
        let random = fastrand::Rng::with_seed(seed);
        Self { post, random, mails: Vec::new(), runs: Vec::new(), answered: BTreeSet::new(), number: 0 }
    }

    pub fn kills(&self) -> usize {
        self.runs.iter().filter(|(_, end)| *end != End::Itself).count()
    }

    /// A command of the program, with the town's small segments and breakable step.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = self.post.here.command(words);
        command.env("AFTERSALESD_SEGMENT_SIZE", SEGMENT).env("AFTERSALESD_PANIC_ON", BREAKS);
        command
    }

    /// Runs the daemon until it dies at `point` for the `times`-th time it gets there, while mail comes in.
    pub fn die_at(&mut self, point: &str, times: usize, needs: Option<&str>) {
        self.begin();
        self.deliver(needs);
        let mut command = self.command(&["run"]);
        command.env("AFTERSALESD_DIE_AT", format!("{point}:{times}"));
        let mut daemon = self.post.here.start_with(&mut command);
        for _ in 0..60 {
            if ended_within(&mut daemon, Duration::from_millis(700)) {
                break;
            }
            self.deliver(needs);
        }
        assert!(!daemon.is_running(), "{point}:{times} is never reached: {}", daemon.log());
        assert!(daemon.log().contains(&format!("died at {point}")), "{point}:{times}: {}", daemon.log());
        self.end(End::Killed(point.to_owned()));
    }

    /// Lets the daemon, or a single pass, work for a while, while mail comes in, then kills it.
    pub fn die_at_some_moment(&mut self) {
        self.begin();
        self.deliver(None);
        let word = if self.random.bool() { "run" } else { "once" };
        let mut daemon = self.post.here.start_with(&mut self.command(&[word]));
        // One in four while it starts; the others at work.
        if self.random.u8(0..4) > 0 {
            let until = Instant::now() + Duration::from_secs(20);
            while daemon.is_running() && Instant::now() < until && !daemon.log().contains("letter") {
                std::thread::sleep(Duration::from_millis(2));
            }
            std::thread::sleep(Duration::from_millis(self.random.u64(0..150)));
        } else {
            std::thread::sleep(Duration::from_millis(self.random.u64(0..600)));
        }
        if self.random.bool() {
            self.deliver(None);
            std::thread::sleep(Duration::from_millis(self.random.u64(0..150)));
        }
        let killed = daemon.is_running();
        daemon.kill();
        self.end(if killed { End::Killed("some moment".to_owned()) } else { End::Itself });
    }

    /// One pass that nobody disturbs.
    pub fn pass(&mut self) {
        self.begin();
        let told = crate::support::program::run(self.command(&["once"]));
        let waits = self
            .mails
            .iter()
            .any(|mail| matches!(&mail.kind, Kind::Claim { address } if address.starts_with("later@")));
        assert_eq!(told.code, Some(if waits { 75 } else { 0 }), "{told:?}");
        self.end(End::Itself);
    }

    /// A few mails of any kind; `needs` is the local part of somebody whose mail the SMTP server treats in its own way.
    pub fn deliver(&mut self, needs: Option<&str>) {
        let count = self.random.usize(1..4);
        for _ in 0..count {
            self.number += 1;
            match self.random.u8(0..20) {
                0..8 => self.claim(&format!("jo{}@example.net", self.number)),
                8..14 => self.answer(),
                14..16 => self.copy(),
                16..19 => self.machine(),
                _ => self.broken(),
            }
        }
        if let Some(name) = needs {
            self.number += 1;
            self.claim(&format!("{name}@example.net"));
        }
    }

    fn claim(&mut self, address: &str) {
        let mut raw =
            letter(self.number, 900).replace(&format!("jo{}@", self.number), &address.replace("example.net", ""));
        if self.random.u8(0..5) == 0 {
            raw = raw.replace(&format!("Message-ID: <{}@example.net>\r\n", self.number), "");
        }
        self.new_mail(Kind::Claim { address: address.to_owned() }, raw);
    }

    /// An answer to a reply that nobody has answered yet; without one, another claim.
    fn answer(&mut self) {
        const BODIES: [&str; 4] = [
            "It happens since Monday, whenever I charge it.\n",
            "The order number is KS50001. I restarted it twice, that changes nothing.\n",
            "What else do you need?\n",
            "It is the TANK T3 Ultra, I got it on 3 October.\n",
        ];
        let replies = self.post.replies();
        let open = |reply: &&Reply| !self.answered.contains(&reply.message_id) && reply.to.starts_with("jo");
        let Some(reply) = replies.iter().find(open) else {
            return self.claim(&format!("jo{}@example.net", self.number));
        };
        self.answered.insert(reply.message_id.clone());
        let draft = Draft {
            from: &format!("Jo <{}>", reply.to),
            id: &format!("answer{}@example.net", self.number),
            subject: &reply.subject,
            body: BODIES[self.number % BODIES.len()],
            answers: Some(reply),
            photos: if self.number.is_multiple_of(9) { &[("watch-black-display.jpg", "IMG_1.jpg")] } else { &[] },
        };
        self.new_mail(Kind::Answer { address: reply.to.clone() }, draft.raw());
    }

    /// A mail comes a second time, as it was or by another way.
    fn copy(&mut self) {
        let Some(which) = (!self.mails.is_empty()).then(|| self.random.usize(0..self.mails.len())) else { return };
        let mut raw = self.mails[which].copies[0].clone();
        // Without a Message-ID a mail is the same byte for byte only.
        if self.random.bool() && raw.contains("Message-ID:") && self.mails[which].kind != Kind::Broken {
            raw = format!(
                "Received: from elsewhere by mx; Sun, 22 Nov 2026 10:00:{:02} +0000\r\n{raw}",
                self.number % 60
            );
        }
        self.post.dovecot.deliver(&raw);
        self.mails[which].copies.push(raw);
    }

    fn machine(&mut self) {
        let name = ["04-newsletter", "05-out-of-office", "18-bounce"][self.number % 3];
        let raw = fs::read_to_string(sample(&format!("mail/{name}.eml"))).unwrap();
        let raw = raw.replace("after-sales@demo.example", FROM).replace('\n', "\r\n");
        let raw = raw.replace("\r\nMessage-ID: <", &format!("\r\nMessage-ID: <{}.", self.number));
        self.new_mail(Kind::Machine, raw);
    }

    fn broken(&mut self) {
        self.new_mail(Kind::Broken, format!("{}\r\n{BREAKS}\r\n", letter(self.number, 900)));
    }

    fn new_mail(&mut self, kind: Kind, raw: String) {
        self.post.dovecot.deliver(&raw);
        self.mails.push(Mail { kind, copies: vec![raw] });
    }

    fn begin(&mut self) {
        let accepted = self.post.smtpd.kept().len();
        self.runs.push((accepted, End::Itself));
    }

    /// Notes how the run ended, once the SMTP server has seen to all that it was sent.
    fn end(&mut self, end: End) {
        let mut banner = [0; 3];
        let mut line = TcpStream::connect(("127.0.0.1", self.post.smtpd.server(None).port)).unwrap();
        line.read_exact(&mut banner).unwrap();
        self.runs.last_mut().unwrap().1 = end;
    }
}

pub fn digest(raw: &[u8]) -> String {
    Sha256::digest(raw).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn ended_within(daemon: &mut Daemon, patience: Duration) -> bool {
    let until = Instant::now() + patience;
    while daemon.is_running() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    !daemon.is_running()
}

/// The mails in Dovecot's own files, and whether each is flagged as seen.
pub fn mailbox(town: &Town) -> Vec<(Vec<u8>, bool)> {
    let mut mails = Vec::new();
    for folder in ["new", "cur"] {
        for entry in fs::read_dir(town.post.dovecot.maildir().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let flags = path.to_str().unwrap().rsplit_once(":2,").map_or("", |(_, flags)| flags).to_owned();
            mails.push((fs::read(&path).unwrap(), flags.contains('S')));
        }
    }
    mails
}

/// Waits until Dovecot's files show every mail as seen.
pub fn await_all_seen(town: &Town) {
    await_that(Duration::from_secs(5), "every mail is marked", || mailbox(town).iter().all(|(_, seen)| *seen));
}
