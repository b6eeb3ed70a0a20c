//! Loads a UDP peer and says how it kept up: the measuring end of `scripts/bench-messages.sh`.
//!
//! ```text
//! udp-load echo  BIND                   answers every datagram with itself: the bare ping-pong to compare with
//! udp-load ping  BIND TO COUNT          one octet string, one outstanding, COUNT times
//! udp-load ipmsg BIND TO COUNT          a message, one outstanding, each waits for its RECVMSG
//! udp-load flood BIND TO RATE SECONDS   messages at RATE a second; counts the acknowledgements
//! ```
//! It writes its datagrams by hand on purpose: what measures Feige shares no code with it.

use std::net::{SocketAddr, UdpSocket};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["echo", bind] => echo(bind),
        ["ping", bind, to, count] => ping(bind, to, count, |buffer, _| {
            buffer.clear();
            buffer.extend_from_slice(&[b'x'; 64]);
        }),
        ["ipmsg", bind, to, count] => ping(bind, to, count, message),
        ["flood", bind, to, rate, seconds] => flood(bind, to, rate, seconds),
        _ => Err("usage: udp-load echo BIND | ping|ipmsg BIND TO COUNT | flood BIND TO RATE SECONDS".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("udp-load: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn echo(bind: &str) -> Result<(), Failure> {
    let socket = UdpSocket::bind(bind)?;
    // The measuring end says when it is over: it stops sending.
    socket.set_read_timeout(Some(Duration::from_secs(30)))?;
    let mut buffer = [0; 2048];
    while let Ok((len, from)) = socket.recv_from(&mut buffer) {
        socket.send_to(&buffer[..len], from)?;
    }
    Ok(())
}

/// A message as a plain client of the family sends it, 64 octets or so.
fn message(buffer: &mut Vec<u8>, number: u64) {
    use std::io::Write;
    buffer.clear();
    write!(buffer, "1:{number}:load:bench:288:the quick brown fox jumps over the lazy dog\0").expect("a Vec takes all");
}

fn ping(bind: &str, to: &str, count: &str, fill: impl Fn(&mut Vec<u8>, u64)) -> Result<(), Failure> {
    let socket = UdpSocket::bind(bind)?;
    let to: SocketAddr = to.parse()?;
    let count: u64 = count.parse()?;
    socket.set_read_timeout(Some(Duration::from_secs(2)))?;
    let first = first_number();
    let mut question = Vec::new();
    let mut answer = [0; 2048];
    let mut times = Vec::with_capacity(usize::try_from(count)?);
    let begin = Instant::now();
    for number in first..first + count {
        fill(&mut question, number);
        let sent = Instant::now();
        socket.send_to(&question, to)?;
        loop {
            let len = socket.recv(&mut answer)?;
            // An entry of the peer is no answer to this question.
            if answer[..len] == question[..] || acknowledges(&answer[..len], number) {
                break;
            }
        }
        times.push(sent.elapsed());
    }
    let rate = count as f64 / begin.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |part: usize| times[times.len() * part / 100].as_secs_f64() * 1e6;
    println!("{rate:.0} round trips/s, p50 {:.1} us, p99 {:.1} us", at(50), at(99));
    Ok(())
}

fn acknowledges(datagram: &[u8], number: u64) -> bool {
    let mut fields = datagram.splitn(6, |&octet| octet == b':');
    let is_ack = fields.nth(4) == Some(b"33");
    let digits: Vec<u8> = fields.next().unwrap_or_default().iter().copied().take_while(u8::is_ascii_digit).collect();
    is_ack && digits == number.to_string().as_bytes()
}

fn flood(bind: &str, to: &str, rate: &str, seconds: &str) -> Result<(), Failure> {
    let socket = UdpSocket::bind(bind)?;
    let to: SocketAddr = to.parse()?;
    socket.connect(to)?;
    let rate: u64 = rate.parse()?;
    let length = Duration::from_secs(seconds.parse()?);
    let acknowledged = Arc::new(AtomicU64::new(0));
    let over = Arc::new(AtomicBool::new(false));
    let counter = {
        let (socket, acknowledged, over) = (socket.try_clone()?, acknowledged.clone(), over.clone());
        socket.set_read_timeout(Some(Duration::from_millis(300)))?;
        std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            loop {
                match socket.recv(&mut buffer) {
                    Ok(_) => {
                        acknowledged.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(_) if over.load(Ordering::Relaxed) => break,
                    Err(_) => {}
                }
            }
        })
    };
    let mut buffer = Vec::new();
    let (first, mut sent) = (first_number(), 0_u64);
    let begin = Instant::now();
    while begin.elapsed() < length {
        let due = (begin.elapsed().as_secs_f64() * rate as f64) as u64;
        if sent >= due {
            std::thread::sleep(Duration::from_micros(200));
        }
        while sent < due {
            message(&mut buffer, first + sent);
            socket.send(&buffer)?;
            sent += 1;
        }
    }
    let took = begin.elapsed().as_secs_f64();
    over.store(true, Ordering::Relaxed);
    counter.join().map_err(|_| "the counting thread panicked")?;
    let acknowledged = acknowledged.load(Ordering::Relaxed);
    println!(
        "sent {:.0}/s, acknowledged {:.0}/s, {:.2} % of {sent}",
        sent as f64 / took,
        acknowledged as f64 / took,
        100.0 * acknowledged as f64 / sent as f64
    );
    Ok(())
}

/// Numbers must rise from run to run, or the peer rightly takes them for repetitions.
fn first_number() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(0)
}
