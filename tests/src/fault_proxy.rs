//! A proxy in front of a broker that injects faults. It reads Kafka's framing, so it can delay or drop the responses to
//! one kind of request and pass all others.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// A kind of request, by its API key in Kafka's protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestKind(pub i16);

impl RequestKind {
    pub const PRODUCE: Self = Self(0);
    pub const FETCH: Self = Self(1);
    /// Commits offsets outside a transaction.
    pub const OFFSET_COMMIT: Self = Self(8);
    pub const HEARTBEAT: Self = Self(12);
    /// Commits or aborts a transaction.
    pub const END_TXN: Self = Self(26);
    /// Adds offsets to a transaction.
    pub const TXN_OFFSET_COMMIT: Self = Self(28);
}

/// What happens to a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyFault {
    /// It arrives later, and so does everything after it on the connection.
    Delay(Duration),
    /// It never arrives and its connection breaks, so the client can't know whether the request was carried out.
    Lose,
    /// It never arrives, but later responses do.
    Swallow,
    /// It is held until `heal`.
    Hold,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To the broker.
    In,
    /// To the client.
    Out,
}

/// Closed when dropped.
#[derive(Debug)]
pub struct FaultProxy {
    /// Clients connect here.
    pub port: u16,
    pub upstream: u16,
    state: Arc<ProxyState>,
}

#[derive(Debug, Default)]
struct ProxyState {
    rules: Mutex<ProxyRules>,
    healed: Condvar,
}

#[derive(Debug, Default)]
struct ProxyRules {
    answers: HashMap<RequestKind, ProxyFault>,
    /// How many more responses to change; `None` means all.
    left: Option<usize>,
    held: HashSet<Direction>,
    /// Responses changed since the proxy started.
    changed: usize,
    passed: HashMap<RequestKind, usize>,
    refuses: bool,
    closed: bool,
    connections: HashMap<u64, (TcpStream, TcpStream)>,
    next: u64,
}

impl FaultProxy {
    /// Listens on `port` and forwards to `upstream`, both on loopback.
    #[track_caller]
    pub fn start(port: u16, upstream: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the proxy's port is free");
        let state = Arc::new(ProxyState::default());
        let accepting = state.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let rules = accepting.rules();
                if rules.closed {
                    return;
                }
                let refuses = rules.refuses;
                drop(rules);
                // Refuse connections, as a broker that is down does.
                if refuses {
                    continue;
                }
                if let Ok(broker) = TcpStream::connect(("127.0.0.1", upstream)) {
                    accepting.clone().connect(client, broker);
                }
            }
        });
        Self { port, upstream, state }
    }

    /// Applies `fault` to every response to `request` until `heal`.
    pub fn inject(&self, request: RequestKind, fault: ProxyFault) {
        self.state.rules().answers.insert(request, fault);
    }

    /// Applies `fault` to the next `count` responses to `request`.
    pub fn inject_next(&self, count: usize, request: RequestKind, fault: ProxyFault) {
        let mut rules = self.state.rules();
        rules.left = Some(count);
        rules.answers.insert(request, fault);
    }

    /// Holds all traffic in one direction until `heal`.
    pub fn hold(&self, direction: Direction) {
        self.state.rules().held.insert(direction);
    }

    /// Breaks every connection; new ones are accepted.
    pub fn cut(&self) {
        cut(&mut self.state.rules());
    }

    /// Breaks every connection and refuses new ones until `heal`.
    pub fn shut(&self) {
        let mut rules = self.state.rules();
        rules.refuses = true;
        cut(&mut rules);
    }

    /// Forwards everything again, including what was held.
    pub fn heal(&self) {
        let mut rules = self.state.rules();
        rules.answers.clear();
        rules.left = None;
        rules.held.clear();
        rules.refuses = false;
        drop(rules);
        self.state.healed.notify_all();
    }

    /// How many responses were changed so far.
    pub fn changed_responses(&self) -> usize {
        self.state.rules().changed
    }

    /// How many requests of that kind were forwarded so far.
    pub fn passed(&self, request: RequestKind) -> usize {
        self.state.rules().passed.get(&request).copied().unwrap_or_default()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.heal();
        let mut rules = self.state.rules();
        rules.closed = true;
        cut(&mut rules);
        drop(rules);
        // Wakes the accepting thread, which then sees `closed`.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn cut(rules: &mut ProxyRules) {
    for (client, broker) in rules.connections.drain().map(|(_, pair)| pair) {
        // The peer may have closed it already.
        let _ = client.shutdown(Shutdown::Both);
        let _ = broker.shutdown(Shutdown::Both);
    }
}

impl ProxyState {
    fn rules(&self) -> MutexGuard<'_, ProxyRules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connect(self: Arc<Self>, client: TcpStream, broker: TcpStream) {
        let (Ok(client_too), Ok(broker_too)) = (client.try_clone(), broker.try_clone()) else { return };
        let (Ok(to_cut), Ok(to_cut_too)) = (client.try_clone(), broker.try_clone()) else { return };
        // Nagle's algorithm would delay small requests.
        let _ = (client.set_nodelay(true), broker.set_nodelay(true));
        let mut rules = self.rules();
        let id = rules.next;
        rules.next += 1;
        rules.connections.insert(id, (to_cut, to_cut_too));
        drop(rules);
        let asked = Arc::new(Mutex::new(HashMap::new()));
        let (state, questions) = (self.clone(), asked.clone());
        thread::spawn(move || {
            let _ = state.pass_in(client, broker_too, &questions);
            state.close(id);
        });
        thread::spawn(move || {
            let _ = self.pass_out(broker, client_too, &asked);
            self.close(id);
        });
    }

    fn close(&self, id: u64) {
        if let Some((client, broker)) = self.rules().connections.remove(&id) {
            let _ = client.shutdown(Shutdown::Both);
            let _ = broker.shutdown(Shutdown::Both);
        }
    }

    fn pass_in(&self, mut from: TcpStream, mut to: TcpStream, asked: &Asked) -> io::Result<()> {
        loop {
            let frame = read_frame(&mut from)?;
            self.wait_while(|rules| rules.held.contains(&Direction::In));
            // Size, API key, version, then the correlation id that the response repeats.
            if frame.len() >= 12 {
                let request = RequestKind(i16::from_be_bytes([frame[4], frame[5]]));
                let number = i32::from_be_bytes([frame[8], frame[9], frame[10], frame[11]]);
                asked.lock().unwrap_or_else(PoisonError::into_inner).insert(number, request);
                *self.rules().passed.entry(request).or_default() += 1;
            }
            to.write_all(&frame)?;
        }
    }

    fn pass_out(&self, mut from: TcpStream, mut to: TcpStream, asked: &Asked) -> io::Result<()> {
        loop {
            let frame = read_frame(&mut from)?;
            self.wait_while(|rules| rules.held.contains(&Direction::Out));
            let number = frame.get(4..8).map(|bytes| i32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
            let request =
                number.and_then(|number| asked.lock().unwrap_or_else(PoisonError::into_inner).remove(&number));
            match request.and_then(|request| self.fault_of(request)) {
                None => {}
                Some((_, ProxyFault::Delay(time))) => thread::sleep(time),
                Some((_, ProxyFault::Lose)) => return Ok(()),
                Some((_, ProxyFault::Swallow)) => continue,
                Some((request, ProxyFault::Hold)) => self.wait_while(|rules| rules.answers.contains_key(&request)),
            }
            to.write_all(&frame)?;
        }
    }

    fn fault_of(&self, request: RequestKind) -> Option<(RequestKind, ProxyFault)> {
        let mut rules = self.rules();
        let fault = *rules.answers.get(&request)?;
        match &mut rules.left {
            Some(0) => return None,
            Some(left) => *left -= 1,
            None => {}
        }
        rules.changed += 1;
        Some((request, fault))
    }

    fn wait_while(&self, holds: impl Fn(&ProxyRules) -> bool) {
        let mut rules = self.rules();
        while holds(&rules) && !rules.closed {
            rules = self.healed.wait(rules).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

type Asked = Mutex<HashMap<i32, RequestKind>>;

/// A whole frame, including its size.
fn read_frame(from: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut size = [0; 4];
    from.read_exact(&mut size)?;
    let length = usize::try_from(i32::from_be_bytes(size)).map_err(|_| io::ErrorKind::InvalidData)?;
    let mut frame = vec![0; 4 + length];
    frame[..4].copy_from_slice(&size);
    from.read_exact(&mut frame[4..])?;
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::process::free_port;

    /// A broker that answers each request with its own number.
    fn echo() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("it is bound").port();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                thread::spawn(move || {
                    while let Ok(frame) = read_frame(&mut stream) {
                        let answer = [&4_i32.to_be_bytes()[..], &frame[8..12]].concat();
                        if stream.write_all(&answer).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        port
    }

    fn ask(stream: &mut TcpStream, request: RequestKind, number: i32) -> io::Result<i32> {
        let frame = [&8_i32.to_be_bytes()[..], &request.0.to_be_bytes(), &[0, 0], &number.to_be_bytes()].concat();
        stream.write_all(&frame)?;
        let answer = read_frame(stream)?;
        Ok(i32::from_be_bytes([answer[4], answer[5], answer[6], answer[7]]))
    }

    #[test]
    fn it_passes_delays_loses_and_heals() {
        let proxy = FaultProxy::start(free_port(), echo());
        let connect = || TcpStream::connect(("127.0.0.1", proxy.port)).expect("the listener is open");
        let mut client = connect();
        assert_eq!(ask(&mut client, RequestKind::PRODUCE, 7).expect("an answer"), 7);
        proxy.inject(RequestKind::END_TXN, ProxyFault::Delay(Duration::from_millis(200)));
        let start = Instant::now();
        assert_eq!(ask(&mut client, RequestKind::PRODUCE, 8).expect("an answer"), 8);
        assert_eq!(ask(&mut client, RequestKind::END_TXN, 9).expect("an answer"), 9);
        assert!(start.elapsed() >= Duration::from_millis(200), "the answer was delayed");
        proxy.inject_next(1, RequestKind::END_TXN, ProxyFault::Lose);
        assert!(ask(&mut client, RequestKind::END_TXN, 10).is_err(), "the answer is lost");
        let mut client = connect();
        assert_eq!(ask(&mut client, RequestKind::END_TXN, 11).expect("only one is lost"), 11);
        assert_eq!((proxy.changed_responses(), proxy.passed(RequestKind::END_TXN)), (2, 3));
        proxy.inject_next(1, RequestKind::FETCH, ProxyFault::Swallow);
        let frame =
            [&8_i32.to_be_bytes()[..], &RequestKind::FETCH.0.to_be_bytes(), &[0, 0], &12_i32.to_be_bytes()].concat();
        client.write_all(&frame).expect("written");
        assert_eq!(ask(&mut client, RequestKind::END_TXN, 13).expect("what follows arrives"), 13);
        proxy.shut();
        assert!(ask(&mut client, RequestKind::PRODUCE, 12).is_err(), "the connection is cut");
        assert!(ask(&mut connect(), RequestKind::PRODUCE, 13).is_err(), "no connection is accepted");
        proxy.heal();
        assert_eq!(ask(&mut connect(), RequestKind::PRODUCE, 14).expect("an answer"), 14);
    }

    #[test]
    fn what_is_held_comes_after_healing() {
        for held in [None, Some(Direction::In), Some(Direction::Out)] {
            let proxy = FaultProxy::start(free_port(), echo());
            match held {
                Some(direction) => proxy.hold(direction),
                None => proxy.inject(RequestKind::FETCH, ProxyFault::Hold),
            }
            let mut client = TcpStream::connect(("127.0.0.1", proxy.port)).expect("the listener is open");
            client.set_read_timeout(Some(Duration::from_millis(100))).expect("set");
            assert!(ask(&mut client, RequestKind::FETCH, 1).is_err(), "no answer while it is held: {held:?}");
            proxy.heal();
            client.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
            assert_eq!(read_frame(&mut client).expect("the answer")[4..], 1_i32.to_be_bytes());
        }
    }
}
