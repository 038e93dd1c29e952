//! The login at a submission server (RFC 4954): by a password (PLAIN, LOGIN) or by a token (OAUTHBEARER, XOAUTH2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lettre::transport::smtp;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::Ehlo;
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::response::{Response, Severity};
use tokio::time::timeout;

use super::text;
use crate::ports::{Fault, Login, Secret, Server};
use crate::sasl::Bearer;

/// Logs in by a password or a token.
pub(super) async fn log_in(
    connection: &mut AsyncSmtpConnection,
    server: &Server,
    login: &Login,
    proof: &Secret,
    hello: &ClientId,
) -> Result<(), Fault> {
    let Server { host, port, timeout: step, .. } = server;
    let answer = timeout(*step, async {
        match login.is_by_token() {
            true => show_token(connection, server, login, proof, hello).await,
            false => {
                let credentials = Credentials::new(login.user.clone(), proof.reveal().to_owned());
                let said = connection.auth(&[Mechanism::Plain, Mechanism::Login], &credentials).await;
                said.map(|_| ()).map_err(|e| refusal(&e, server, login, "PLAIN or LOGIN"))
            }
        }
    });
    answer
        .await
        .unwrap_or_else(|_| Err(Fault::temporary(format!("{host}:{port}: no answer to the login within {step:?}"))))
}

/// lettre knows XOAUTH2 alone, and stops in the middle of it when the server tells why it refuses.
async fn show_token(
    connection: &mut AsyncSmtpConnection,
    server: &Server,
    login: &Login,
    token: &Secret,
    hello: &ClientId,
) -> Result<(), Fault> {
    const NEITHER: &str = "OAUTHBEARER or XOAUTH2";
    let refused = |e: smtp::Error| refusal(&e, server, login, NEITHER);
    let told = connection.command(Ehlo::new(hello.clone())).await.map_err(refused)?;
    let Some(bearer) = mechanism(&told) else {
        return Err(none_of(server, NEITHER));
    };
    let opening = STANDARD.encode(bearer.opening(&login.user, server, token).reveal());
    let answer = connection.command(format!("AUTH {} {opening}\r\n", bearer.name())).await.map_err(refused)?;
    if answer.code().severity == Severity::PositiveCompletion {
        return Ok(());
    }
    let closed = connection.command(format!("{}\r\n", STANDARD.encode(bearer.closing()))).await.map_err(refused)?;
    Err(Fault::temporary(format!("{}: login: an answer out of step: {}", server.host, closed.code())))
}

/// Of the lines of an answer to EHLO, `AUTH PLAIN XOAUTH2 …`.
fn mechanism(told: &Response) -> Option<Bearer> {
    let lines = told.message().filter_map(|line| line.split_once([' ', '=']));
    let names = lines.filter(|(keyword, _)| keyword.eq_ignore_ascii_case("AUTH"));
    Bearer::offered(names.flat_map(|(_, names)| names.split_ascii_whitespace()))
}

fn refusal(e: &smtp::Error, server: &Server, login: &Login, mechanisms: &str) -> Fault {
    let what = format!("{} refuses the login of {}: {}", server.host, login.user, text(e));
    match e {
        e if e.is_permanent() => Fault::login(what),
        e if e.is_client() => none_of(server, mechanisms),
        _ => Fault::temporary(what),
    }
}

fn none_of(server: &Server, mechanisms: &str) -> Fault {
    Fault::configuration(format!("{}: the server offers no login by {mechanisms} on this connection", server.host))
}
