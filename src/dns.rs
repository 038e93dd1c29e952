//! Floor 2: questions to a resolver of the domain name system (RFC 1035): texts, mail exchangers, addresses.
//!
//! Only `doctor` asks: once, of the resolver that this machine has. A cut answer is asked for again over TCP.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, Question, RCODE, TYPE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

use crate::ports::Fault;

/// How long an answer may take; a resolver that has to ask others takes a while.
const PATIENCE: Duration = Duration::from_secs(4);
/// A datagram is asked for again as often, for it may be lost.
const TRIES: u32 = 2;
/// The longest answer over UDP without EDNS, with some to spare.
const DATAGRAM: usize = 4096;
const PORT: u16 = 53;

/// Resolvers that are asked in turn.
#[derive(Debug, Clone)]
pub struct Resolver(Vec<SocketAddr>);

impl Resolver {
    /// Those of this machine (resolv.conf(5)).
    pub fn of_system() -> Result<Self, Fault> {
        const FILE: &str = "/etc/resolv.conf";
        let text = std::fs::read_to_string(Path::new(FILE))
            .map_err(|e| Fault::configuration(format!("{FILE} cannot be read: {e}")))?;
        let named = nameservers(&text);
        if named.is_empty() {
            return Err(Fault::configuration(format!("{FILE} names no nameserver")));
        }
        Ok(Self(named))
    }

    /// This one.
    pub fn at(address: SocketAddr) -> Self {
        Self(vec![address])
    }

    /// The TXT records of a name, each put together; none if there is no such name.
    pub async fn texts(&self, name: &str) -> Result<Vec<String>, Fault> {
        self.records(name, TYPE::TXT, |data| match data {
            RData::TXT(text) => String::try_from(text).ok(),
            _ => None,
        })
        .await
    }

    /// The mail exchangers of a domain by preference; `""` is the one of a domain that takes no mail (RFC 7505).
    pub async fn exchangers(&self, domain: &str) -> Result<Vec<String>, Fault> {
        let read = |data: RData<'_>| match data {
            RData::MX(mx) => Some((mx.preference, mx.exchange.to_string())),
            _ => None,
        };
        let mut found = self.records(domain, TYPE::MX, read).await?;
        found.sort();
        Ok(found.into_iter().map(|(_, name)| name.trim_end_matches('.').to_owned()).collect())
    }

    /// The addresses of a host.
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, Fault> {
        let read = |data: RData<'_>| match data {
            RData::A(a) => Some(IpAddr::V4(Ipv4Addr::from(a.address))),
            RData::AAAA(aaaa) => Some(IpAddr::V6(Ipv6Addr::from(aaaa.address))),
            _ => None,
        };
        let mut found = self.records(host, TYPE::A, read).await?;
        found.extend(self.records(host, TYPE::AAAA, read).await?);
        Ok(found)
    }

    async fn records<T>(&self, name: &str, kind: TYPE, read: impl Fn(RData<'_>) -> Option<T>) -> Result<Vec<T>, Fault> {
        let wrong = |e| Fault::configuration(format!("{name} is no name for the domain name system: {e}"));
        let question = Name::new(name).map_err(wrong)?;
        let id = fastrand::u16(..);
        let mut query = Packet::new_query(id);
        query.set_flags(PacketFlag::RECURSION_DESIRED);
        query.questions.push(Question::new(question, QTYPE::TYPE(kind), CLASS::IN.into(), false));
        let query = query.build_bytes_vec().map_err(wrong)?;
        let mut fault = Fault::temporary("there is no resolver");
        for server in &self.0 {
            match asked(*server, &query, id).await {
                Ok(answer) => match Packet::parse(&answer).map(|packet| (packet.rcode(), packet.answers)) {
                    Ok((RCODE::NoError | RCODE::NameError, answers)) => {
                        return Ok(answers.into_iter().filter_map(|record| read(record.rdata)).collect());
                    }
                    Ok((code, _)) => fault = Fault::temporary(format!("{server} answers {code:?} for {name}")),
                    Err(e) => fault = Fault::temporary(format!("{server}: its answer for {name} can't be read: {e}")),
                },
                Err(why) => fault = Fault::temporary(format!("{server}: {why}")),
            }
        }
        Err(fault)
    }
}

/// The addresses that resolv.conf(5) names.
fn nameservers(text: &str) -> Vec<SocketAddr> {
    let words = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let named = words.filter_map(|words| match words.as_slice() {
        // Of an address of one link alone, which has a zone behind a %, there is no use here.
        ["nameserver", address, ..] => address.parse::<IpAddr>().ok(),
        _ => None,
    });
    named.map(|address| SocketAddr::new(address, PORT)).collect()
}

/// One answer, whole.
async fn asked(server: SocketAddr, query: &[u8], id: u16) -> Result<Vec<u8>, String> {
    let mut why = String::new();
    for _ in 0..TRIES {
        match timeout(PATIENCE, by_datagram(server, query, id)).await {
            Ok(Ok(answer)) if Packet::parse(&answer).is_ok_and(|told| !told.has_flags(PacketFlag::TRUNCATION)) => {
                return Ok(answer);
            }
            // Cut, or cut so that it can't be read.
            Ok(Ok(_)) => {
                let whole = timeout(PATIENCE, by_stream(server, query)).await;
                return whole.map_err(|_| "no answer over TCP".to_owned())?.map_err(|e| format!("over TCP: {e}"));
            }
            Ok(Err(e)) => why = e.to_string(),
            Err(_) => why = "no answer".to_owned(),
        }
    }
    Err(why)
}

async fn by_datagram(server: SocketAddr, query: &[u8], id: u16) -> std::io::Result<Vec<u8>> {
    let any: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    loop {
        let mut answer = vec![0; DATAGRAM];
        let length = socket.recv(&mut answer).await?;
        answer.truncate(length);
        // What was asked before and came late is of another id.
        if answer.starts_with(&id.to_be_bytes()) {
            return Ok(answer);
        }
    }
}

async fn by_stream(server: SocketAddr, query: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(query.len()).map_err(std::io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), query].concat()).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nameservers_are_read_as_the_system_does() {
        let text = "# nameserver 192.0.2.1\nsearch example.com\nnameserver 192.0.2.53\n  nameserver\t2001:db8::53 # x\n\
                    nameserver fe80::1%eth0\nnameserver\noptions edns0\n";
        let told: Vec<String> = nameservers(text).iter().map(ToString::to_string).collect();
        assert_eq!(told, ["192.0.2.53:53", "[2001:db8::53]:53"]);
    }
}
