//! A server of names that knows what it is told, over UDP up to 512 bytes (RFC 1035 section 4.2.1), and over TCP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};

use simple_dns::rdata::{A, MX, RData, TXT};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QTYPE, ResourceRecord, TYPE};

use super::free_port;

/// Name, type and data of records.
pub type Zone = Vec<(&'static str, &'static str, String)>;

/// Answers as long as the test runs.
pub struct Nameserver {
    pub address: SocketAddr,
    pub zone: Arc<Mutex<Zone>>,
    /// How it was asked: `udp` or `tcp`, and for which name.
    pub heard: Arc<Mutex<Vec<(&'static str, String)>>>,
}

impl Nameserver {
    pub fn start(zone: Zone) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], free_port()));
        let (datagrams, streams) = (UdpSocket::bind(address).unwrap(), TcpListener::bind(address).unwrap());
        let (zone, heard) = (Arc::new(Mutex::new(zone)), Arc::new(Mutex::new(Vec::new())));
        let (known, log) = (Arc::clone(&zone), Arc::clone(&heard));
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = datagrams.recv_from(&mut query) {
                let mut reply = answer(&query[..length], &known.lock().unwrap(), "udp", &log, false);
                if reply.len() > 512 {
                    reply = answer(&query[..length], &known.lock().unwrap(), "udp", &log, true);
                }
                // One that came late for somebody else, first.
                datagrams.send_to(b"\0\0late", from).unwrap();
                datagrams.send_to(&reply, from).unwrap();
            }
        });
        let (known, log) = (Arc::clone(&zone), Arc::clone(&heard));
        std::thread::spawn(move || {
            for stream in streams.incoming() {
                let mut stream = stream.unwrap();
                let mut length = [0; 2];
                stream.read_exact(&mut length).unwrap();
                let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
                stream.read_exact(&mut query).unwrap();
                let reply = answer(&query, &known.lock().unwrap(), "tcp", &log, false);
                stream.write_all(&u16::try_from(reply.len()).unwrap().to_be_bytes()).unwrap();
                stream.write_all(&reply).unwrap();
            }
        });
        Self { address, zone, heard }
    }
}

fn answer(
    query: &[u8],
    zone: &Zone,
    by: &'static str,
    heard: &Mutex<Vec<(&'static str, String)>>,
    cut: bool,
) -> Vec<u8> {
    let query = Packet::parse(query).unwrap();
    let asked = query.questions[0].clone();
    let name = asked.qname.to_string().trim_end_matches('.').to_ascii_lowercase();
    heard.lock().unwrap().push((by, name.clone()));
    let mut reply = Packet::new_reply(query.id());
    reply.questions.push(asked.clone());
    if cut {
        reply.set_flags(PacketFlag::TRUNCATION);
        return reply.build_bytes_vec().unwrap();
    }
    for (of, kind, data) in zone.iter().filter(|(of, ..)| *of == name) {
        let (code, data) = match *kind {
            "TXT" => (TYPE::TXT, RData::TXT(TXT::try_from(data.as_str()).unwrap())),
            "A" => (TYPE::A, RData::A(A { address: data.parse::<std::net::Ipv4Addr>().unwrap().into() })),
            "MX" => (TYPE::MX, RData::MX(MX { preference: 10, exchange: Name::new(data).unwrap() })),
            other => panic!("{other}"),
        };
        if asked.qtype == QTYPE::TYPE(code) {
            reply.answers.push(ResourceRecord::new(Name::new(of).unwrap(), CLASS::IN, 60, data));
        }
    }
    reply.build_bytes_vec().unwrap()
}
