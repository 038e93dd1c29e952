//! The beginning of an IMAP connection: by a password (LOGIN, PLAIN) or by a token (OAUTHBEARER, XOAUTH2).

use async_imap::imap_proto::{Response, Status};
use async_imap::{Authenticator, Client};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::session::{Capabilities, Failure, Stream, Wire, announced, greet, is_passing, plain, received, spelled};
use super::tls::Tls;
use crate::ports::{Fault, Login, Secret, Security, Server};
use crate::sasl::Bearer;

/// A connection that is logged in.
pub(super) struct Connected {
    pub wire: Wire,
    /// What the server can, if it has told.
    pub told: Option<Capabilities>,
    /// The password or the token.
    pub proof: Secret,
}

/// Connects, encrypts and logs in; a token that is refused is renewed once.
pub(super) async fn connect(server: &Server, tls: Option<&Tls>) -> Result<Connected, Failure> {
    let login = server.login.as_ref().ok_or_else(|| {
        Failure::Fatal(Fault::configuration(format!("{}: IMAP needs a user and a password", server.host)))
    })?;
    let mut proofs = login.proofs();
    loop {
        let proof = proofs.next().await.map_err(Failure::Fatal)?;
        let whole = async {
            let (client, greeted) = greet(server, tls).await?;
            match login.is_by_token() {
                true => show_token(client, login, &proof, greeted, server).await.map(|wire| (wire, None)),
                false => tell_password(client, login, &proof, &greeted, server).await,
            }
        };
        // Each of connect, TLS, greeting and login may take the time-out.
        let within = server.timeout * 4;
        let connected = timeout(within, whole).await;
        match connected.map_err(|_| Failure::Broken(format!("{}: no login within {within:?}", server.host)))? {
            Err(Failure::Fatal(fault)) if proofs.go_on(&proof, &fault) => {
                tracing::debug!("the token is refused, it is renewed: {fault}");
            }
            Ok((wire, told)) => return Ok(Connected { wire, told, proof }),
            Err(failure) => return Err(failure),
        }
    }
}

async fn tell_password(
    client: Client<Box<dyn Stream>>,
    login: &Login,
    password: &Secret,
    greeted: &Capabilities,
    server: &Server,
) -> Result<(Wire, Option<Capabilities>), Failure> {
    if greeted.contains("LOGINDISABLED") && server.security == Security::None {
        let what = format!("{}: the server takes a password over TLS only: set security to \"starttls\"", server.host);
        return Err(Failure::Fatal(Fault::configuration(what)));
    }
    let (user, password) = (login.user.as_str(), password.reveal());
    // A quoted string holds ASCII only; PLAIN (RFC 4616) holds UTF-8.
    let answer = if user.is_ascii() && password.is_ascii() {
        client
            .login_with_capabilities(user, password)
            .await
            .map(|(wire, told)| (wire, told.map(|set| set.iter().map(spelled).collect::<Capabilities>())))
    } else {
        let plain = Words { opening: Some(format!("\0{user}\0{password}")), closing: "" };
        client.authenticate("PLAIN", plain).await.map(|wire| (wire, None))
    };
    answer.map_err(|(e, _)| refusal(&e, login, server))
}

async fn show_token(
    client: Client<Box<dyn Stream>>,
    login: &Login,
    token: &Secret,
    greeted: Capabilities,
    server: &Server,
) -> Result<Wire, Failure> {
    let tells = greeted.iter().any(|name| name.starts_with("AUTH="));
    let (client, offered) = if tells { (client, greeted) } else { ask(client).await? };
    let Some(bearer) = Bearer::offered(offered.iter().filter_map(|name| name.strip_prefix("AUTH="))) else {
        let what = format!(
            "{}: the server offers no login by OAuth2 on this connection (neither OAUTHBEARER nor XOAUTH2)",
            server.host
        );
        return Err(Failure::Fatal(Fault::configuration(what)));
    };
    let opening = bearer.opening(&login.user, server, token).reveal().to_owned();
    let words = Words { opening: Some(opening), closing: bearer.closing() };
    client.authenticate(bearer.name(), words).await.map_err(|(e, _)| refusal(&e, login, server))
}

/// What the server can, before the login. async-imap would hand out whether it answers only, so that the stream is written
/// to; all that was read of it before has been looked at.
async fn ask(client: Client<Box<dyn Stream>>) -> Result<(Client<Box<dyn Stream>>, Capabilities), Failure> {
    let mut stream = client.into_inner();
    let written = async {
        stream.write_all(b"C CAPABILITY\r\n").await?;
        stream.flush().await
    };
    written.await.map_err(|e| Failure::Broken(format!("connection lost: {e}")))?;
    let mut client = Client::new(stream);
    let mut told = Capabilities::new();
    loop {
        let response = received(client.read_response()).await?;
        told.extend(announced(response.parsed()).unwrap_or_default());
        match response.parsed() {
            Response::Done { .. } => return Ok((client, told)),
            Response::Data { status: Status::Bye, outcome } => {
                let text = outcome.information.as_deref().unwrap_or_default();
                return Err(Failure::Broken(format!("the server says BYE: {text}")));
            }
            _ => {}
        }
    }
}

fn refusal(e: &async_imap::error::Error, login: &Login, server: &Server) -> Failure {
    match e {
        async_imap::error::Error::No(text) | async_imap::error::Error::Bad(text) => {
            if is_passing(text) {
                Failure::Broken(format!("{}: login: {text}", server.host))
            } else {
                let what = format!("{} refuses the login of {}: {text}", server.host, login.user);
                Failure::Fatal(Fault::login(what))
            }
        }
        async_imap::error::Error::Validate(_) => {
            Failure::Fatal(Fault::configuration("the IMAP user or password holds a line break"))
        }
        e => Failure::Broken(format!("{}: login: {}", server.host, plain(e))),
    }
}

/// What is said to the server's challenges: the first asks who comes, any further one tells why that will not do.
struct Words {
    opening: Option<String>,
    closing: &'static str,
}

impl Authenticator for Words {
    type Response = String;

    fn process(&mut self, _challenge: &[u8]) -> String {
        self.opening.take().unwrap_or_else(|| self.closing.to_owned())
    }
}
