//! The door: arguments, logging, exit code. See the library's map for the rest.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

#[path = "main/access.rs"]
mod access;
#[path = "main/generate.rs"]
mod generate;
#[cfg(test)]
#[path = "main/tests.rs"]
mod tests;

use aftersalesd::app::doctor::Wishes;
use aftersalesd::app::letters::LETTERS;
use aftersalesd::app::query::{Query, Question};
use aftersalesd::app::stats;
use aftersalesd::app::triage::Form;
use aftersalesd::app::{self, Failure, VERSION};
use aftersalesd::domain::act::WORDS;
use aftersalesd::worker::stats::Wanted;
use clap::{Args, CommandFactory, Parser, Subcommand};
use jiff::civil::Date;

/// Reads an after-sales mailbox: understands warranty claims, asks for just what is missing, issues RMAs.
///
/// Exit codes: 0 all is done; 1 it failed; 2 wrong arguments; 75 a server can't be reached or the store is in use, try
/// again; 78 the configuration (or a template, the catalogue, the order feed, a login, a folder) is wrong, or the
/// store is a newer version's.
///
/// `aftersalesd guide` tells more, by topic: how to begin, daily work, what to do when something is wrong.
///
/// The log goes to standard error; AFTERSALESD_LOG sets its level (error, warn, info, debug, or by module:
/// "info,aftersalesd::imap=debug"), and goes before [log] level of the configuration.
#[derive(Debug, Parser)]
#[command(name = "aftersalesd", version = VERSION, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the whole job on sample mail; needs no server and no configuration
    Demo {
        /// The folder for mail, replies and store [default: a new one below the temporary folder]
        #[arg(long)]
        dir: Option<PathBuf>,
        /// The port of the staff console [default: 8480 if it is free]
        #[arg(long)]
        port: Option<u16>,
        /// Stop when all sample mail is handled, without a console
        #[arg(long)]
        exit: bool,
    },
    /// Take in letters and send replies until SIGTERM or SIGINT
    Run(Brands),
    /// Take in all mail that waits, empty the outbox, then end
    Once(Brands),
    /// Have the running daemon read configuration, templates, catalogue and orders anew; what is wrong changes nothing
    Reload(Brands),
    /// Validate configuration, templates, catalogue and order feed, then log in to both servers
    Check {
        #[command(flatten)]
        brands: Brands,
        /// Do not connect to any server
        #[arg(long)]
        offline: bool,
    },
    /// Find out what is wrong or will be: configuration, servers, certificates, disk, files, clock, DNS; changes nothing but a due OAuth2 token
    ///
    /// Each finding is ok, warn or fail, with what to do. Exit code 0: nothing has failed; 1: something has; 75: only what
    /// another try may put right, as a server that can't be reached; 78: the configuration or a login is wrong.
    Doctor {
        /// The resolver to ask of the sender's domain [default: this machine's]
        #[arg(long, value_name = "ADDRESS:PORT")]
        resolver: Option<SocketAddr>,
        /// Under which name the mail server's DKIM key stands [default: [doctor] dkim_selector]
        #[arg(long, value_name = "NAME")]
        dkim_selector: Option<String>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Dry run: show what would be understood, decided and replied; writes and sends nothing
    Triage {
        /// The configuration to judge by [default: the demo's]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// One JSON object a line for each letter
        #[arg(long)]
        json: bool,
        /// .eml files, mboxes, Maildirs or folders of .eml files, taken in order as one mailbox
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Look at cases and quarantine; works whether or not the daemon is running
    Cases {
        #[command(subcommand)]
        query: Cases,
    },
    /// How the daemon is: does it take in letters, what waits, when it last spoke with the servers; exit code 1 if no
    /// daemon runs or it takes in none
    Status(Asked),
    /// How much the daemon logs, from now on until it ends; without LEVEL: how much that is
    Log {
        /// error, warn, info, debug, trace or off, others by module: info,aftersalesd::imap=debug; or default: as at its start
        level: Option<String>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Compare mailbox, archive, cases and outbox; tell every difference, change nothing
    Audit(Asked),
    /// Read everything in the store and tell what is damaged; the daemon may run
    Verify {
        /// The configuration file
        #[arg(long, value_name = "FILE", required_unless_present = "folder", conflicts_with = "folder")]
        config: Option<PathBuf>,
        /// Make anew what can be made from the events; the daemon must not run
        #[arg(long)]
        repair: bool,
        /// A store or a backup instead of the configured store
        folder: Option<PathBuf>,
    },
    /// Copy the store into a new folder, as it is at this moment; the daemon may run
    Backup {
        #[command(flatten)]
        config: Configured,
        /// A new or empty folder; it can be used as a store
        target: PathBuf,
    },
    /// Backtest: take the kept mail through other terms, and tell which decisions would change and why
    ///
    /// Each letter is decided on anew, in the order they were taken in, at its own arrival, by this version of the
    /// program under the policy, catalogue, orders and templates of the other configuration, in a store that is thrown
    /// away. Changes nothing, sends nothing; the daemon may run. What staff did is not replayed. Exit code 0: every
    /// decision is the same; 1: some would change (then the totals are the last thing printed), or it failed.
    Replay {
        #[command(flatten)]
        config: Configured,
        /// The configuration with the other terms
        #[arg(long, value_name = "FILE")]
        new: PathBuf,
        /// One JSON object a line for each decision that would change, then one with the totals
        #[arg(long)]
        json: bool,
    },
    /// Write what staff corrected into a folder, as evaluation cases: the letters, and what should have been read there
    Corrections {
        #[command(flatten)]
        config: Configured,
        /// A new or empty folder
        folder: PathBuf,
    },
    /// What the books tell: returns by product, symptom, batch and week, how long they took, what people had to do
    Stats {
        #[command(flatten)]
        config: Configured,
        /// Count only cases opened on this day or later, as 2026-11-22
        #[arg(long, value_name = "DAY")]
        since: Option<Date>,
        /// Count only cases opened on this day or before
        #[arg(long, value_name = "DAY")]
        until: Option<Date>,
        /// How many leading characters of an item code are its batch
        #[arg(long, value_name = "CHARACTERS", default_value_t = 6)]
        batch: usize,
        /// For a spreadsheet
        #[arg(long, conflicts_with = "json")]
        csv: bool,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Who may work at the console, and what they did there; works whether or not the daemon is running
    Users {
        #[command(subcommand)]
        query: access::Users,
    },
    /// Which programs may come in by the API, and to do what; works whether or not the daemon is running
    Tokens {
        #[command(subcommand)]
        query: access::Tokens,
    },
    /// How it goes with the programs that hear of cases; works whether or not the daemon is running
    Webhooks {
        #[command(subcommand)]
        query: access::Webhooks,
    },
    /// The OAuth2 access to the mail servers, configured in [oauth2]
    Auth {
        #[command(subcommand)]
        query: access::Auth,
    },
    /// Write the whole store as JSON lines to standard output; the daemon may run
    Export(Configured),
    /// Read an export into an empty store; the daemon must not run
    Import {
        #[command(flatten)]
        config: Configured,
        /// The export, or - for standard input
        file: PathBuf,
    },
    /// The operator's guide: what topics there are, or the text of one
    Guide {
        /// One of the topics
        topic: Option<String>,
    },
    /// Write the man pages or the completions of shells into a folder, for whoever packages the program
    #[command(hide = true)]
    Generate {
        what: generate::Kind,
        /// It is made if it is not there
        folder: PathBuf,
    },
}

#[derive(Debug, Args)]
struct Configured {
    /// The configuration file
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
}

/// One brand or several.
#[derive(Debug, Args)]
struct Brands {
    /// The configuration file of a brand, once for each; or a folder, of which every *.toml is one
    #[arg(long, value_name = "FILE", required = true)]
    config: Vec<PathBuf>,
}

impl Brands {
    fn files(&self) -> Result<Vec<PathBuf>, Failure> {
        app::brands::files(&self.config)
    }
}

#[derive(Debug, Subcommand)]
enum Cases {
    /// All cases, one a line
    List(Asked),
    /// One case: what is known and from which words, what is missing, what happened; or one letter as it was written
    Show {
        /// A case id, an RMA number or an order number, in any spelling; or a letter's id, whole or its beginning
        id: String,
        #[command(flatten)]
        asked: Asked,
    },
    /// Cases with all these words in id, order, SKU, RMA, item code, customer or subject
    Search {
        #[arg(required = true)]
        words: Vec<String>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Mail that could not be handled, with the reason
    Quarantine(Asked),
    /// Take mail in quarantine in again, from the archive; what goes through is released
    Retry {
        /// The beginning of the letter's id, its Message-ID or its file; or all
        letter: String,
        #[command(flatten)]
        asked: Asked,
    },
    /// Do something with a case: issue its RMA, ask, answer, note what happened to the parcel
    #[command(after_help = doable())]
    Act {
        /// A case id, an RMA number or an order number, in any spelling
        id: String,
        /// What is done: `approve`, `ask photo sku`, `reject: the reason`, `arrived` …
        #[arg(required = true)]
        words: Vec<String>,
        #[command(flatten)]
        person: Person,
        #[command(flatten)]
        asked: Asked,
    },
    /// Letters that are held back, or wait until their delay is over
    Drafts(Asked),
    /// Send the drafts of a case, or all that are held
    Send {
        /// A case id, an RMA number or an order number, in any spelling; or all
        id: String,
        #[command(flatten)]
        person: Person,
        #[command(flatten)]
        asked: Asked,
    },
    /// Never send the drafts of a case; it goes to staff
    Drop {
        /// A case id, an RMA number or an order number, in any spelling
        id: String,
        #[command(flatten)]
        person: Person,
        #[command(flatten)]
        asked: Asked,
    },
    /// Why a case was decided as it was: dates, windows, days, clauses of the policy
    Explain {
        /// A case id, an RMA number or an order number, in any spelling
        id: String,
        #[command(flatten)]
        asked: Asked,
    },
    /// Write the pictures of a case into a folder, without where they were taken
    Photos {
        /// A case id, an RMA number or an order number, in any spelling
        id: String,
        /// A new or empty folder
        folder: PathBuf,
        #[command(flatten)]
        config: Configured,
    },
    /// Write all that is held of a customer into a folder
    Export {
        /// Their e-mail address
        #[arg(long, value_name = "ADDRESS")]
        customer: String,
        /// A new or empty folder
        folder: PathBuf,
        #[command(flatten)]
        config: Configured,
    },
    /// Forget a customer: mails, words, names and addresses go; RMA numbers, products and dates stay for the books
    Erase {
        /// Their e-mail address
        #[arg(long, value_name = "ADDRESS")]
        customer: String,
        /// Close and erase cases that are not over too
        #[arg(long)]
        force: bool,
        /// Who does it [default: the user of this shell]
        #[arg(long, value_name = "NAME")]
        by: Option<String>,
        #[command(flatten)]
        asked: Asked,
    },
    /// Note that a person has dealt with mail in quarantine
    Dismiss {
        /// The beginning of the letter's id, its Message-ID or its file
        letter: String,
        /// How it was dealt with
        how: String,
        #[command(flatten)]
        asked: Asked,
    },
    /// What staff were told: caps reached, refused replies, danger, strangers; the latest first, with how often
    Notices(Asked),
    /// The letters that came last, each with its class: also those that get no answer
    Letters {
        /// Only customer, bounce, auto_reply, bulk, own, spam or quarantine
        #[arg(long)]
        class: Option<String>,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = LETTERS)]
        last: usize,
        #[command(flatten)]
        asked: Asked,
    },
}

#[derive(Debug, Args)]
struct Person {
    /// Who does it [default: the user of this shell]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
}

#[derive(Debug, Args)]
struct Asked {
    #[command(flatten)]
    config: Configured,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let is_daemon = matches!(cli.command, Command::Run(_) | Command::Once(_));
    match app::log::start(is_daemon).and_then(|()| command(cli.command)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            for line in failure.to_string().lines() {
                // Nothing better can be done if standard error is closed.
                let _ = writeln!(io::stderr(), "aftersalesd: {line}");
            }
            ExitCode::from(failure.exit_code())
        }
    }
}

fn command(command: Command) -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let done = match command {
        Command::Demo { dir, port, exit } => app::demo::run(dir, port, exit, &mut out),
        Command::Run(brands) => app::daemon::run(&brands.files()?),
        Command::Once(brands) => app::daemon::once(&brands.files()?),
        Command::Reload(brands) => app::reload::run(&brands.files()?, &mut out),
        Command::Check { brands, offline } => app::check::check(&brands.files()?, offline, &mut out),
        Command::Doctor { resolver, dkim_selector, asked } => {
            app::doctor::run(&asked.config.config, &Wishes { resolver, dkim_selector }, asked.json, &mut out)
        }
        Command::Triage { config, json, paths } => {
            let form = if json { Form::Json } else { Form::Page { colour: app::log::shows_colour(&io::stdout()) } };
            app::triage::run(config.as_deref(), form, &paths, &mut out)
        }
        Command::Cases { query } => {
            let (query, asked) = match query {
                Cases::List(asked) => (Query::Ask(Question::List), asked),
                Cases::Show { id, asked } => (Query::Ask(Question::Show(id)), asked),
                Cases::Search { words, asked } => (Query::Ask(Question::Search(words.join(" "))), asked),
                Cases::Quarantine(asked) => (Query::Ask(Question::Quarantine), asked),
                Cases::Notices(asked) => (Query::Ask(Question::Notices), asked),
                Cases::Act { id, words, person: Person { by, why }, asked } => {
                    (Query::act(id, &words.join(" "), who(by), why)?, asked)
                }
                Cases::Drafts(asked) => (Query::Ask(Question::Drafts), asked),
                Cases::Send { id, person: Person { by, why }, asked } if id == "all" => {
                    (Query::SendAll { by: who(by), why }, asked)
                }
                Cases::Send { id, person: Person { by, why }, asked } => (Query::act(id, "send", who(by), why)?, asked),
                Cases::Drop { id, person: Person { by, why }, asked } => (Query::act(id, "drop", who(by), why)?, asked),
                Cases::Photos { id, folder, config } => {
                    return ended(app::photos::run(&config.config, &id, &folder, &mut out), out);
                }
                Cases::Export { customer, folder, config } => {
                    return ended(app::people::export(&config.config, &customer, &folder, &mut out), out);
                }
                Cases::Erase { customer, force, by, asked } => {
                    (Query::Ask(Question::Erase { customer, force, by: who(by) }), asked)
                }
                Cases::Explain { id, asked } => (Query::Explain(id), asked),
                Cases::Retry { letter, asked } => (Query::Retry(letter), asked),
                Cases::Dismiss { letter, how, asked } => (Query::Ask(Question::Dismiss { letter, how }), asked),
                Cases::Letters { class, last, asked } => (Query::Ask(Question::Letters { class, last }), asked),
            };
            app::cases::run(&asked.config.config, &query, asked.json, &mut out)
        }
        Command::Status(asked) => app::status::run(&asked.config.config, asked.json, &mut out),
        Command::Log { level, asked } => app::log::run(&asked.config.config, level.as_deref(), asked.json, &mut out),
        Command::Audit(asked) => app::audit::run(&asked.config.config, asked.json, &mut out),
        Command::Verify { config, repair, folder } => {
            app::verify::run(config.as_deref(), folder.as_deref(), repair, &mut out)
        }
        Command::Users { query } => query.run(&mut out),
        Command::Tokens { query } => query.run(&mut out),
        Command::Webhooks { query } => query.run(&mut out),
        Command::Auth { query } => query.run(&mut out),
        Command::Backup { config, target } => app::transfer::backup(&config.config, &target, &mut out),
        Command::Replay { config, new, json } => app::replay::run(&config.config, &new, json, &mut out),
        Command::Corrections { config, folder } => app::corrections::export(&config.config, &folder, &mut out),
        Command::Export(configured) => app::transfer::export(&configured.config, &mut out),
        Command::Import { config, file } => app::transfer::import(&config.config, &file),
        Command::Stats { config, since, until, batch, csv, json } => {
            let form = if csv { stats::Form::Csv } else { stats::Form::Table };
            let form = if json { stats::Form::Json } else { form };
            stats::run(&config.config, Wanted { since, until, batch }, form, &mut out)
        }
        Command::Guide { topic } => app::guide::run(topic.as_deref(), &mut out),
        Command::Generate { what, folder } => generate::generate(Cli::command(), what, &folder),
    };
    ended(done, out)
}

fn ended(done: Result<(), Failure>, mut out: impl Write) -> Result<(), Failure> {
    let flushed = out.flush().map_err(Failure::from);
    match done.and(flushed) {
        // `| head` has read enough.
        Err(Failure::Other(text)) if text.contains("Broken pipe") => Ok(()),
        done => done,
    }
}

/// Who does something: as told, else the user of this shell.
fn who(by: Option<String>) -> String {
    by.or_else(|| std::env::var("USER").ok()).unwrap_or_else(|| "staff".to_owned())
}

/// What can be done with a case, for people.
fn doable() -> String {
    let lines = WORDS.iter().map(|(word, rest)| format!("  {word} {rest}"));
    format!("What can be done:\n{}", lines.collect::<Vec<_>>().join("\n"))
}
