//! Names whose server lies: a real one on loopback, over UDP, that answers as it is told.

use std::net::{Ipv6Addr, TcpListener as Trap, UdpSocket};

use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi";
/// Record types (RFC 1035 §3.2.2, RFC 3596 §2.1).
const A: u16 = 1;
const AAAA: u16 = 28;
/// Header and question of a message about [`QUESTION`].
const PREAMBLE: usize = 12 + QUESTION.len() + 4;
/// `flip.example` as labels.
const QUESTION: &[u8] = b"\x04flip\x07example\x00";

/// A name server. It answers with time to live 0 what `tell` says for the n-th lookup, of which each asks for A and AAAA.
struct NameServer {
    address: SocketAddr,
    queries: Arc<AtomicUsize>,
}

impl NameServer {
    fn new(tell: impl Fn(usize) -> Vec<IpAddr> + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback has ports");
        let address = socket.local_addr().expect("it is bound");
        let queries = Arc::new(AtomicUsize::new(0));
        let counter = queries.clone();
        // Ends with the process: nothing tells a blocking socket to stop.
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                assert_eq!((length, &query[12..12 + QUESTION.len()]), (PREAMBLE, QUESTION));
                let number = counter.fetch_add(1, Ordering::SeqCst);
                let kind = u16::from_be_bytes([query[PREAMBLE - 4], query[PREAMBLE - 3]]);
                let mut answer = query[..PREAMBLE].to_vec();
                answer[2..4].copy_from_slice(&[0x81, 0x80]);
                for ip in tell(number / 2) {
                    let data = match ip {
                        IpAddr::V4(ip) if kind == A => ip.octets().to_vec(),
                        IpAddr::V6(ip) if kind == AAAA => ip.octets().to_vec(),
                        _ => continue,
                    };
                    answer[7] += 1;
                    answer.extend([0xc0, 12, 0, query[PREAMBLE - 3], 0, 1, 0, 0, 0, 0, 0]);
                    answer.push(u8::try_from(data.len()).expect("an address is short"));
                    answer.extend(data);
                }
                socket.send_to(&answer, from).expect("loopback delivers");
            }
        });
        Self { address, queries }
    }

    /// Asks this server, as the system's resolver asks the one of `resolv.conf`: both kinds of address, in turn.
    fn resolver(&self) -> Resolver {
        let server = self.address;
        Resolver::new(Duration::ZERO, move |name| {
            assert_eq!(name, "flip.example");
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            socket.connect(server)?;
            socket.set_read_timeout(Some(Duration::from_secs(10)))?;
            let mut addresses = Vec::new();
            for kind in [A, AAAA] {
                let mut query = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
                query.extend(QUESTION);
                query.extend(kind.to_be_bytes());
                query.extend([0, 1]);
                socket.send(&query)?;
                let mut answer = [0; 512];
                let length = socket.recv(&mut answer)?;
                let mut records = &answer[PREAMBLE..length];
                while let [_, _, _, _, _, _, _, _, _, _, _, length, rest @ ..] = records {
                    let (data, rest) = rest.split_at(usize::from(*length));
                    addresses.push(match <[u8; 4]>::try_from(data) {
                        Ok(v4) => IpAddr::from(v4),
                        Err(_) => Ipv6Addr::from(<[u8; 16]>::try_from(data).map_err(io::Error::other)?).into(),
                    });
                    records = rest;
                }
            }
            Ok(addresses)
        })
    }

    fn lookups(&self) -> usize {
        self.queries.load(Ordering::SeqCst) / 2
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// Open to 127.0.0.1 alone: it plays the public address.
fn only_home(resolver: Resolver) -> Guard {
    Guard::with_resolver(vec!["127.0.0.1/32".parse().expect("a network")], resolver)
}

/// A receiver at 127.0.0.1, and what must not be reached: a service at 127.0.0.2 with the same port.
async fn home_and_trap() -> (Receiver, Trap) {
    loop {
        let home = Receiver::answering(OK).await;
        if let Ok(trap) = Trap::bind(("127.0.0.2", home.address.port())) {
            trap.set_nonblocking(true).expect("sockets can");
            return (home, trap);
        }
    }
}

fn untouched(trap: &Trap) -> bool {
    trap.accept().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
}

#[tokio::test]
async fn the_checked_address_is_the_connected_address_however_fast_the_answers_flip() {
    let (home, trap) = home_and_trap().await;
    let server = NameServer::new(|lookup| vec![ip(["127.0.0.1", "127.0.0.2", "169.254.169.254"][lookup % 3])]);
    let client = client(only_home(server.resolver()));
    let url = format!("http://flip.example:{}/", home.address.port());
    let (mut arrived, mut refused) = (0, 0);
    for _ in 0..60 {
        match client.send(post(&url)).await {
            Ok(response) => {
                assert_eq!(response.remote, Some(home.address));
                arrived += 1;
            }
            Err(failure) => {
                assert_eq!((failure.class, failure.remote), (ErrorClass::Blocked, None), "{}", failure.detail);
                refused += 1;
            }
        }
    }
    assert_eq!((arrived, refused, home.connections()), (20, 40, 20));
    // A second lookup between check and connection is what such a server waits for.
    assert_eq!(server.lookups(), 60);

    let crowd: Vec<_> = (0..200).map(|_| client.send(post(&url))).collect();
    for sent in futures_util::future::join_all(crowd).await {
        match sent {
            Ok(response) => assert_eq!(response.remote, Some(home.address)),
            Err(failure) => assert_eq!(failure.class, ErrorClass::Blocked, "{}", failure.detail),
        }
    }
    assert!(untouched(&trap));
}

#[tokio::test]
async fn one_forbidden_address_among_any_number_refuses_the_name() {
    let (home, trap) = home_and_trap().await;
    for addresses in [
        ["127.0.0.1", "127.0.0.2"].as_slice(),
        &["127.0.0.2", "127.0.0.1"],
        &["127.0.0.1", "93.184.216.34", "127.0.0.1", "1.1.1.1", "8.8.8.8", "10.0.0.1"],
        &["127.0.0.1", "::1"],
        &["127.0.0.1", "2606:4700::1111", "fd00::1"],
        &["127.0.0.1", "::ffff:127.0.0.2"],
        &["127.0.0.1", "64:ff9b::7f00:2"],
        &["127.0.0.1", "0.0.0.0"],
    ] {
        let told: Vec<IpAddr> = addresses.iter().map(|text| ip(text)).collect();
        let server = NameServer::new(move |_| told.clone());
        let client = client(only_home(server.resolver()));
        for scheme in ["http", "https"] {
            let url = format!("{scheme}://flip.example:{}/", home.address.port());
            assert_eq!(class(&client, post(&url)).await, ErrorClass::Blocked, "{addresses:?}");
        }
    }
    assert_eq!(home.connections(), 0);
    assert!(untouched(&trap));
}

#[tokio::test]
async fn what_was_right_when_it_was_stored_is_judged_again_when_it_is_used() {
    let (home, trap) = home_and_trap().await;
    let server = NameServer::new(|lookup| vec![ip(if lookup == 0 { "127.0.0.1" } else { "127.0.0.2" })]);
    let client = client(only_home(server.resolver()));
    let url = format!("http://flip.example:{}/", home.address.port());
    assert_eq!(client.guard().check_url(&Url::parse(&url).expect("a URL")).await, Ok(()));
    assert_eq!(class(&client, post(&url)).await, ErrorClass::Blocked);
    assert_eq!((home.connections(), server.lookups()), (0, 2));
    assert!(untouched(&trap));
}

#[tokio::test]
async fn an_open_connection_stays_with_its_address() {
    let home = Receiver::answering(OK.replace("connection: close\r\n", "")).await;
    let server = NameServer::new(|lookup| vec![ip(if lookup == 0 { "127.0.0.1" } else { "127.0.0.2" })]);
    let client = client(only_home(server.resolver()));
    let url = format!("http://flip.example:{}/", home.address.port());
    for _ in 0..10 {
        assert_eq!(answer(&client, post(&url)).await.remote, Some(home.address));
    }
    assert_eq!((home.connections(), server.lookups()), (1, 1));
}
