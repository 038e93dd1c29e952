//! `users`, `tokens`, `webhooks` and `auth`: people and programs, who may come in, who hears of cases, and how the program
//! itself comes in at its mail servers.

use std::io::Write;

use aftersalesd::app::{Failure, auth, tokens, users, webhooks};
use aftersalesd::domain::account::{AccountName, Role};
use aftersalesd::domain::ids::CaseId;
use aftersalesd::domain::token::Scope;
use clap::Subcommand;

use super::{Asked, Configured, who};

#[derive(Debug, Subcommand)]
pub enum Users {
    /// Add an account; the password is typed unseen, or is the first line of standard input
    Add {
        /// Letters, digits and . _ - @
        name: String,
        /// agent: works on cases; lead: also sees who saw and did what; admin: also sees who signed in
        #[arg(long, default_value = "agent")]
        role: String,
        #[command(flatten)]
        asked: Asked,
    },
    /// All accounts
    List(Asked),
    /// Let somebody in no longer; ends their sessions at once
    Disable {
        name: String,
        #[command(flatten)]
        asked: Asked,
    },
    /// Set a password, of a disabled account too; ends the sessions of before
    Password {
        name: String,
        #[command(flatten)]
        asked: Asked,
    },
    /// Who saw or did what, the latest first
    Trail {
        /// Only of this case
        #[arg(long, value_name = "ID")]
        case: Option<String>,
        /// Only by this person
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        /// How many at most
        #[arg(long, value_name = "N", default_value_t = 1000)]
        last: usize,
        #[command(flatten)]
        asked: Asked,
    },
}

#[derive(Debug, Subcommand)]
pub enum Tokens {
    /// Add a token and show it, this once
    Add {
        /// Letters, digits and . _ - @
        name: String,
        /// What it may do: read (cases, search, statistics), letters (mails as they came, files), act
        #[arg(long, default_value = "read")]
        scope: String,
        /// How many days it holds [default: until it is revoked]
        #[arg(long, value_name = "N")]
        days: Option<u32>,
        #[command(flatten)]
        asked: Asked,
    },
    /// All tokens, with what they may do and when they were last used
    List(Asked),
    /// Let a token in no longer
    Revoke {
        name: String,
        #[command(flatten)]
        asked: Asked,
    },
}

#[derive(Debug, Subcommand)]
pub enum Webhooks {
    /// Each with what waits for it, and what it did not take for three days
    List(Asked),
    /// Try again what was given up
    Retry {
        /// Its name in the configuration, or all
        name: String,
        #[command(flatten)]
        asked: Asked,
    },
}

#[derive(Debug, Subcommand)]
pub enum Auth {
    /// Log in by a browser on any machine; what is granted is kept beside the store, and the daemon goes on with it
    Login(Configured),
    /// What was granted, until when it holds, and whether it still does; exit code 1 if it does not
    Status(Asked),
}

impl Auth {
    pub fn run(self, out: &mut impl Write) -> Result<(), Failure> {
        match self {
            Self::Login(config) => auth::login(&config.config, &mut std::io::stdin().lock(), out),
            Self::Status(asked) => auth::status(&asked.config.config, asked.json, out),
        }
    }
}

impl Webhooks {
    pub fn run(self, out: &mut impl Write) -> Result<(), Failure> {
        let (query, asked) = match self {
            Self::List(asked) => (webhooks::Webhooks::List, asked),
            Self::Retry { name, asked } => (webhooks::Webhooks::Retry((name != "all").then_some(name)), asked),
        };
        webhooks::run(&asked.config.config, query, asked.json, out)
    }
}

impl Users {
    pub fn run(self, out: &mut impl Write) -> Result<(), Failure> {
        let (query, asked) = asked(self)?;
        users::run(&asked.config.config, query, asked.json, out)
    }
}

impl Tokens {
    pub fn run(self, out: &mut impl Write) -> Result<(), Failure> {
        let (shown, query, asked) = match self {
            Self::Add { name, scope, days, asked } => {
                let scopes = Scope::list(&scope).map_err(|why| Failure::Usage(format!("--scope: {why}")))?;
                if days == Some(0) {
                    return Err(Failure::Usage("--days 0: it would hold for no moment".to_owned()));
                }
                let (shown, query) = tokens::Tokens::add(named(&name)?, scopes, days, who(None))?;
                (Some(shown), query, asked)
            }
            Self::List(asked) => (None, tokens::Tokens::List, asked),
            Self::Revoke { name, asked } => {
                (None, tokens::Tokens::Revoke { name: named(&name)?, by: who(None) }, asked)
            }
        };
        tokens::run(&asked.config.config, query, shown, asked.json, out)
    }
}

fn named(name: &str) -> Result<AccountName, Failure> {
    AccountName::new(name).map_err(|e| Failure::Usage(format!("{name:?}: {e}")))
}

/// What is asked about accounts; asks for a password where one is needed.
fn asked(query: Users) -> Result<(users::Users, Asked), Failure> {
    Ok(match query {
        Users::Add { name, role, asked } => {
            let known = Role::from_code(&role);
            let role =
                known.ok_or_else(|| Failure::Usage(format!("--role {role}: there are agent, lead and admin")))?;
            (users::Users::Add { name: named(&name)?, role, password: users::asked()?, by: who(None) }, asked)
        }
        Users::List(asked) => (users::Users::List, asked),
        Users::Disable { name, asked } => (users::Users::Disable { name: named(&name)?, by: who(None) }, asked),
        Users::Password { name, asked } => {
            (users::Users::Password { name: named(&name)?, password: users::asked()?, by: who(None) }, asked)
        }
        Users::Trail { case, user, last, asked } => {
            let case = case.map(|case| CaseId::new(&case).map_err(|e| Failure::Usage(format!("{case:?}: {e}"))));
            (users::Users::Trail { case: case.transpose()?, user, last }, asked)
        }
    })
}
