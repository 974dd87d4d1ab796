//! A siege: every hostile receiver over and over, in a process of its own whose memory is watched. The receivers live in
//! it too, so what they hold counts as well: the bound is stricter than it has to be.

use std::{collections::VecDeque, fs, io::Write as _, process::Command, sync::Mutex};

use flate2::{Compression, write::GzEncoder};
use rcgen::{CertificateParams, date_time_ymd};
use tokio::{
    io::{AsyncWrite, split},
    time,
};

use super::{
    tls::{Authority, named, ok, secured},
    *,
};

/// Sends to each kind of receiver.
const ROUNDS: usize = 200;
/// Sends to those that make us read ten thousands of frames each: the same bound, reached at more cost.
const HEAVY_ROUNDS: usize = 50;
/// Sends at a time to receivers that keep us busy.
const BUSY: usize = 4;
/// Sends at a time to receivers that keep us waiting.
const WAITING: usize = 64;
/// Most that the resident memory may grow over what as many receivers need that are merely slow.
const GROWTH_KB: usize = 5 * 1024;
/// Deadline of those sends that only a deadline ends: enough to connect on a busy machine.
const SHORT_MS: u32 = 1_000;
/// How much longer than its deadline a send may take on a machine that is busy with a siege.
const GRACE_MS: u32 = 10_000;

/// What a send must come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The answer with this status.
    Answer(u16),
    /// The same, but there was more body than was read.
    Cut(u16),
    /// A failure, at once.
    Failure(ErrorClass),
    /// A failure by the deadline.
    Overdue,
}

/// A kind of hostile receiver.
struct Hostile {
    what: &'static str,
    end: End,
    /// The name it is addressed by, over TLS; none: in plain.
    host: Option<&'static str>,
    body: Bytes,
    rounds: usize,
    receiver: Receiver,
}

/// Holds the connection until the client lets go.
async fn held(mut stream: impl AsyncRead + Unpin) -> io::Result<()> {
    let mut rest = [0; 1_024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

/// One byte in 100 ms, for ever.
async fn drip(stream: impl AsyncRead + AsyncWrite, byte: u8) -> io::Result<()> {
    let (reading, mut writing) = split(stream);
    let dripping = async {
        let mut drop = time::interval(Duration::from_millis(100));
        loop {
            drop.tick().await;
            writing.write_u8(byte).await?;
            writing.flush().await?;
        }
    };
    tokio::select! {
        ended = held(reading) => ended,
        broken = dripping => broken,
    }
}

/// These bytes, over and over.
async fn flood(mut stream: impl AsyncWrite + Unpin, bytes: &[u8]) -> io::Result<()> {
    let bytes = bytes.repeat(4_096_usize.div_ceil(bytes.len()));
    loop {
        stream.write_all(&bytes).await?;
    }
}

/// A frame of HTTP/2 (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("these are short");
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Bytes that a client of HTTP/2 begins with (RFC 9113 §3.4).
const PREFACE: usize = 24;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;
/// `:status: 200` and `:status: 103` (RFC 7541 §6.1, §6.2.2).
const STATUS_200: &[u8] = &[0x88];
const STATUS_103: &[u8] = b"\x08\x03103";

/// A gzip file of some KB that would be 64 MB.
fn bomb() -> Vec<u8> {
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    let megabyte = vec![0; 1024 * 1024];
    for _ in 0..64 {
        bomb.write_all(&megabyte).expect("memory takes it");
    }
    bomb.finish().expect("memory takes it")
}

async fn plain<F>(what: &'static str, end: End, behave: impl Fn(TcpStream) -> F + Send + 'static) -> Hostile
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    Hostile {
        what,
        end,
        host: None,
        body: Bytes::from_static(b"{}"),
        rounds: ROUNDS,
        receiver: Receiver::new(behave).await,
    }
}

/// After a request: `first`, then a flood of `then`, or silence when that is empty.
async fn talking(what: &'static str, end: End, first: impl Into<Bytes>, then: &'static str) -> Hostile {
    let first = first.into();
    plain(what, end, move |mut stream| {
        let first = first.clone();
        async move {
            request_in(&mut stream).await?;
            stream.write_all(&first).await?;
            if then.is_empty() { held(stream).await } else { flood(stream, then.as_bytes()).await }
        }
    })
    .await
}

/// Takes connections and reads nothing from them.
async fn deaf(what: &'static str) -> Hostile {
    let taken = Mutex::new(VecDeque::new());
    let deaf = plain(what, End::Overdue, move |stream| {
        let mut taken = taken.lock().expect("no one panics");
        taken.push_back(stream);
        // Whose sends are over: a closed connection shows only to those who read.
        if taken.len() > 2 * WAITING {
            taken.pop_front();
        }
        std::future::ready(Ok(()))
    })
    .await;
    // More than the kernel takes off our hands.
    Hostile { body: Bytes::from(vec![b'a'; 4 * 1024 * 1024]), ..deaf }
}

/// TLS as wanted, and then HTTP as it should be.
async fn certified(what: &'static str, authority: &Authority, params: &CertificateParams) -> Hostile {
    let receiver = secured(authority.acceptor(params, &[]), ok).await;
    Hostile { receiver, ..uncertified(what, End::Failure(ErrorClass::Tls), held).await }
}

/// No TLS, when it is expected.
async fn uncertified<F>(what: &'static str, end: End, behave: impl Fn(TcpStream) -> F + Send + 'static) -> Hostile
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    Hostile { host: Some("host.example"), ..plain(what, end, behave).await }
}

/// HTTP/2 with a good certificate: after the request `first`, then a flood of `then`.
async fn http2(authority: &Authority, what: &'static str, end: End, first: Vec<u8>, then: Vec<u8>) -> Hostile {
    let acceptor = authority.acceptor(&named("*.host.example"), &["h2"]);
    let (first, then) = (Bytes::from([frame(SETTINGS, 0, 0, &[]), first].concat()), Bytes::from(then));
    let receiver = Receiver::new(move |stream| {
        let (acceptor, first, then) = (acceptor.clone(), first.clone(), then.clone());
        async move {
            let mut stream = acceptor.accept(stream).await?;
            stream.read_exact(&mut [0; PREFACE]).await?;
            loop {
                let mut head = [0; 9];
                stream.read_exact(&mut head).await?;
                let mut payload = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
                stream.read_exact(&mut payload).await?;
                if head[3] == HEADERS {
                    break;
                }
            }
            stream.write_all(&first).await?;
            let (reading, writing) = split(stream);
            if then.is_empty() {
                return held(reading).await;
            }
            tokio::select! {
                ended = held(reading) => ended,
                broken = flood(writing, &then) => broken,
            }
        }
    })
    .await;
    Hostile { receiver, ..uncertified(what, end, held).await }
}

/// HTTP/2 frames without an end, instead of an answer.
async fn frames(authority: &Authority, what: &'static str, frame: Vec<u8>) -> Hostile {
    Hostile { rounds: HEAVY_ROUNDS, ..http2(authority, what, End::Failure(ErrorClass::TooLarge), vec![], frame).await }
}

async fn all(authority: &Authority) -> Vec<Hostile> {
    use End::{Answer, Cut, Failure, Overdue};
    use ErrorClass::{Protocol, Reset, Tls, TooLarge};
    const HEAD: &str = "HTTP/1.1 200 OK\r\n";
    const TEN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n";
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    const ANOTHER: &str = "HTTP/1.1 500 X\r\ncontent-length: 0\r\n\r\n";
    let bomb = bomb();
    let gzip = format!("{HEAD}content-encoding: gzip\r\ncontent-length: {}\r\n\r\n", bomb.len());
    let head = frame(HEADERS, END_HEADERS, 1, STATUS_200);
    let mut expired = named("*.host.example");
    expired.not_after = date_time_ymd(2001, 1, 1);
    vec![
        deaf("it never reads").await,
        talking("it never answers", Overdue, "", "").await,
        plain("a head that drips", Overdue, async |mut stream| {
            request_in(&mut stream).await?;
            stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await?;
            drip(stream, b'a').await
        })
        .await,
        plain("a body that drips", Overdue, async |mut stream| {
            request_in(&mut stream).await?;
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n").await?;
            drip(stream, b'a').await
        })
        .await,
        talking("a body without an end", Cut(200), format!("{HEAD}\r\n"), "a").await,
        talking("chunks without an end", Cut(200), CHUNKED, "1\r\na\r\n").await,
        talking("a gzip bomb", Cut(200), [gzip.into_bytes(), bomb].concat(), "").await,
        talking("a header without an end", Failure(TooLarge), format!("{HEAD}x: "), "a").await,
        talking("headers without an end", Failure(TooLarge), HEAD, "x: y\r\n").await,
        talking("1 MB of headers", Failure(TooLarge), format!("{HEAD}{}\r\n", "x: 0123456789\r\n".repeat(65_536)), "")
            .await,
        talking("interim answers without an end", Failure(TooLarge), "", "HTTP/1.1 100 Continue\r\n\r\n").await,
        talking("bad chunks", Failure(Protocol), format!("{CHUNKED}zz\r\n"), "").await,
        talking("a chunk extension without an end", Failure(Protocol), format!("{CHUNKED}1;"), "a").await,
        talking("trailers without an end", Failure(Protocol), format!("{CHUNKED}0\r\n"), "x: y\r\n").await,
        talking("not HTTP", Failure(Protocol), "hello\n\n", "").await,
        talking("HTTP 0.9", Failure(Protocol), "<html>hello</html>\r\n\r\n", "").await,
        talking("two answers in one", Answer(200), format!("{TEN}0123456789{ANOTHER}"), "").await,
        talking("answers without an end", Answer(200), format!("{TEN}0123456789"), ANOTHER).await,
        talking("another protocol", Answer(101), "HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n", "x")
            .await,
        plain("a reset instead of an answer", Failure(Reset), async |mut stream| {
            request_in(&mut stream).await?;
            reset(stream)
        })
        .await,
        plain("a reset in the body", Failure(Reset), async |mut stream| {
            request_in(&mut stream).await?;
            stream.write_all(TEN.as_bytes()).await?;
            reset(stream)
        })
        .await,
        plain("an end in the body", Failure(Reset), async |mut stream| {
            request_in(&mut stream).await?;
            stream.write_all(TEN.as_bytes()).await
        })
        .await,
        certified("an expired certificate", authority, &expired).await,
        certified("the certificate of another host", authority, &named("another.example")).await,
        uncertified("a handshake that never begins", Overdue, held).await,
        uncertified("a handshake that drips", Overdue, async |mut stream| {
            // A record of 16 KB that takes half an hour.
            stream.write_all(&[0x16, 3, 3, 0x40, 0]).await?;
            drip(stream, 2).await
        })
        .await,
        // A record of 16 KB, over and over, as parts of one message that announces 16 MB.
        uncertified("a handshake without an end", Failure(Tls), async |stream| {
            flood(stream, &[&[0x16, 3, 3, 0x40, 0, 2, 0xff, 0xff, 0xff][..], &[0; 0x4000 - 4]].concat()).await
        })
        .await,
        http2(authority, "HTTP/2: silence", Overdue, vec![], vec![]).await,
        frames(authority, "HTTP/2: pings without an end", frame(PING, 0, 0, &[0; 8])).await,
        frames(authority, "HTTP/2: settings without an end", frame(SETTINGS, 0, 0, &[])).await,
        frames(authority, "HTTP/2: interim answers without an end", frame(HEADERS, END_HEADERS, 1, STATUS_103)).await,
        http2(
            authority,
            "HTTP/2: a head without an end",
            Failure(Protocol),
            frame(HEADERS, 0, 1, STATUS_200),
            frame(CONTINUATION, 0, 1, b"\x00\x01x\x01y"),
        )
        .await,
        http2(authority, "HTTP/2: nothing without an end", Failure(Protocol), head, frame(DATA, 0, 1, &[])).await,
    ]
}

/// One send, and what it came to.
async fn send(client: &Client, hostile: &Hostile, round: usize) -> Result<(), String> {
    let address = hostile.receiver.address;
    let url = match hostile.host {
        // Each its own connection: what one stream suffers must not decide how another ends.
        Some(host) => format!("https://n{round}.{host}:{}/", address.port()),
        None => format!("http://{address}/"),
    };
    let timeout_ms = if hostile.end == End::Overdue { SHORT_MS } else { 20_000 };
    let began = time::Instant::now();
    let sent = client.send(Request { timeout_ms, body: hostile.body.clone(), ..post(&url) }).await;
    if began.elapsed() > Duration::from_millis((timeout_ms + GRACE_MS).into()) {
        return Err(format!("{}: took {:?}: {sent:?}", hostile.what, began.elapsed()));
    }
    let ended = match &sent {
        Ok(response) if response.body_truncated => End::Cut(response.status),
        Ok(response) => End::Answer(response.status),
        Err(failure) if failure.class == ErrorClass::Timeout => End::Overdue,
        Err(failure) => End::Failure(failure.class),
    };
    if ended == hostile.end {
        Ok(())
    } else {
        Err(format!("{}: {:?} expected, but {sent:?}", hostile.what, hostile.end))
    }
}

/// The most memory that was resident so far, in KB.
fn peak_kb() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux tells");
    let mut words = status.split_whitespace().skip_while(|word| *word != "VmHWM:");
    words.nth(1).and_then(|number| number.parse().ok()).expect("a number of KB")
}

/// All rounds to each of these, so many at a time.
async fn besiege(client: &Client, hostiles: &[Hostile], at_a_time: usize) {
    let turns: Vec<_> = (0..ROUNDS)
        .flat_map(|round| {
            hostiles.iter().filter(move |hostile| round < hostile.rounds).map(move |hostile| (hostile, round))
        })
        .collect();
    let next = AtomicUsize::new(0);
    let workers = (0..at_a_time).map(|_| async {
        while let Some((hostile, round)) = turns.get(next.fetch_add(1, Ordering::SeqCst)) {
            send(client, hostile, *round).await.expect("it ends as it must");
        }
    });
    futures_util::future::join_all(workers).await;
}

async fn siege() {
    let authority = Authority::new("Authority");
    let client = authority.client();
    let (waiting, busy): (Vec<_>, Vec<_>) =
        all(&authority).await.into_iter().partition(|hostile| hostile.end == End::Overdue);

    let slow = [
        talking("slow", End::Overdue, "", "").await,
        Hostile {
            receiver: secured(authority.acceptor(&named("*.host.example"), &[]), held).await,
            ..uncertified("slow, TLS", End::Overdue, held).await
        },
        http2(&authority, "slow, HTTP/2", End::Overdue, vec![], vec![]).await,
    ];
    let at_a_time = (WAITING + BUSY).div_ceil(slow.len());
    let sends = slow.iter().flat_map(|hostile| (0..at_a_time).map(|round| send(&client, hostile, round)));
    for sent in futures_util::future::join_all(sends).await {
        sent.expect("nothing is answered");
    }
    let before = peak_kb();

    tokio::join!(besiege(&client, &busy, BUSY), besiege(&client, &waiting, WAITING));
    let growth = peak_kb() - before;
    assert!(growth < GROWTH_KB, "{growth} KB more than {before} KB");

    // Nothing is kept: every receiver has lost its connections, also while the client lives.
    let patience = time::Instant::now() + Duration::from_secs(20);
    for hostile in waiting.iter().chain(&busy) {
        while hostile.receiver.open() > 0 {
            assert!(time::Instant::now() < patience, "{}: {} still open", hostile.what, hostile.receiver.open());
            time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(hostile.receiver.connections(), hostile.rounds, "{}: one connection each", hostile.what);
    }
}

/// The memory of a process is measured, so it needs one of its own: the test runs itself again.
#[test]
fn hostile_receivers_cost_their_deadline_and_no_memory() {
    const NAME: &str = "http::tests::hostile::hostile_receivers_cost_their_deadline_and_no_memory";
    const INNER: &str = "SIGNALBOX_TEST_SIEGE";
    if std::env::var_os(INNER).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        return runtime.expect("threads can be started").block_on(siege());
    }
    let again = Command::new(std::env::current_exe().expect("this runs"))
        .args(["--exact", NAME, "--nocapture"])
        .env(INNER, "1")
        .output()
        .expect("it runs again");
    let (out, error) = (String::from_utf8_lossy(&again.stdout), String::from_utf8_lossy(&again.stderr));
    assert!(again.status.success() && out.contains("1 passed"), "{out}\n{error}");
}
