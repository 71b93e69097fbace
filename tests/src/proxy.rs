//! A door in front of a broker that a test can jam: it speaks Kafka's framing, so that it can keep back the answers to
//! one kind of request and let all else pass.

use std::collections::{HashMap, HashSet};
use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// A kind of request, by Kafka's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Request(pub i16);

impl Request {
    /// Writes records.
    pub const PRODUCE: Self = Self(0);
    /// Reads records.
    pub const FETCH: Self = Self(1);
    /// Commits offsets outside a transaction.
    pub const OFFSET_COMMIT: Self = Self(8);
    /// Keeps a group member alive.
    pub const HEARTBEAT: Self = Self(12);
    /// Ends a transaction: commits or aborts it.
    pub const END_TXN: Self = Self(26);
    /// Adds offsets to a transaction.
    pub const TXN_OFFSET_COMMIT: Self = Self(28);
}

/// What happens to an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// It arrives that much later, and what follows it on its connection too.
    Delay(Duration),
    /// It never arrives, and its connection breaks: the client can't know whether it was done.
    Lose,
    /// It never arrives, but what follows it does.
    Swallow,
    /// It is kept back until the door is healed.
    Hold,
}

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// To the broker.
    In,
    /// To the client.
    Out,
}

/// See the module. Closed when dropped.
#[derive(Debug)]
pub struct Proxy {
    /// Where clients connect.
    pub port: u16,
    /// Where it passes them on to.
    pub upstream: u16,
    door: Arc<Door>,
}

#[derive(Debug, Default)]
struct Door {
    rules: Mutex<Rules>,
    healed: Condvar,
}

#[derive(Debug, Default)]
struct Rules {
    answers: HashMap<Request, Harm>,
    /// Which answers are harmed: the first so many; without a number, all.
    left: Option<usize>,
    held: HashSet<Direction>,
    /// Answers that were harmed since the door was made.
    harmed: usize,
    /// Requests that passed, by kind.
    passed: HashMap<Request, usize>,
    refuses: bool,
    closed: bool,
    connections: HashMap<u64, (TcpStream, TcpStream)>,
    next: u64,
}

impl Proxy {
    /// Listens on `port` and passes everything on to `upstream`, both on loopback.
    #[track_caller]
    pub fn start(port: u16, upstream: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("the proxy's port is free");
        let door = Arc::new(Door::default());
        let at_the_door = door.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let rules = at_the_door.rules();
                if rules.closed {
                    return;
                }
                let refuses = rules.refuses;
                drop(rules);
                // A broker that is down refuses; so does the door.
                if refuses {
                    continue;
                }
                if let Ok(broker) = TcpStream::connect(("127.0.0.1", upstream)) {
                    at_the_door.clone().let_in(client, broker);
                }
            }
        });
        Self { port, upstream, door }
    }

    /// From now on does `harm` to every answer to `request`.
    pub fn harm(&self, request: Request, harm: Harm) {
        self.door.rules().answers.insert(request, harm);
    }

    /// Does `harm` to the next `count` answers to `request`, then to none.
    pub fn harm_next(&self, count: usize, request: Request, harm: Harm) {
        let mut rules = self.door.rules();
        rules.left = Some(count);
        rules.answers.insert(request, harm);
    }

    /// Lets nothing pass in that direction until the door is healed.
    pub fn hold(&self, direction: Direction) {
        self.door.rules().held.insert(direction);
    }

    /// Breaks every connection there is; new ones are let in.
    pub fn cut(&self) {
        cut(&mut self.door.rules());
    }

    /// Breaks every connection and lets no one in until the door is healed.
    pub fn shut(&self) {
        let mut rules = self.door.rules();
        rules.refuses = true;
        cut(&mut rules);
    }

    /// Everything passes again, also what was kept back.
    pub fn heal(&self) {
        let mut rules = self.door.rules();
        rules.answers.clear();
        rules.left = None;
        rules.held.clear();
        rules.refuses = false;
        drop(rules);
        self.door.healed.notify_all();
    }

    /// How many answers were harmed so far.
    pub fn harmed(&self) -> usize {
        self.door.rules().harmed
    }

    /// How many requests of that kind passed so far.
    pub fn passed(&self, request: Request) -> usize {
        self.door.rules().passed.get(&request).copied().unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.heal();
        let mut rules = self.door.rules();
        rules.closed = true;
        cut(&mut rules);
        drop(rules);
        // Wakes the one who accepts; it finds the door closed.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn cut(rules: &mut Rules) {
    for (client, broker) in rules.connections.drain().map(|(_, pair)| pair) {
        // The other side may have closed it already.
        let _ = client.shutdown(Shutdown::Both);
        let _ = broker.shutdown(Shutdown::Both);
    }
}

impl Door {
    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn let_in(self: Arc<Self>, client: TcpStream, broker: TcpStream) {
        let (Ok(client_too), Ok(broker_too)) = (client.try_clone(), broker.try_clone()) else { return };
        let (Ok(to_cut), Ok(to_cut_too)) = (client.try_clone(), broker.try_clone()) else { return };
        // Small requests must not wait for one another's acknowledgement.
        let _ = (client.set_nodelay(true), broker.set_nodelay(true));
        let mut rules = self.rules();
        let id = rules.next;
        rules.next += 1;
        rules.connections.insert(id, (to_cut, to_cut_too));
        drop(rules);
        let asked = Arc::new(Mutex::new(HashMap::new()));
        let (door, questions) = (self.clone(), asked.clone());
        thread::spawn(move || {
            let _ = door.pass_in(client, broker_too, &questions);
            door.close(id);
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
            // Size, kind, version, then the number that the answer repeats.
            if frame.len() >= 12 {
                let request = Request(i16::from_be_bytes([frame[4], frame[5]]));
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
            match request.and_then(|request| self.harm_of(request)) {
                None => {}
                Some((_, Harm::Delay(time))) => thread::sleep(time),
                Some((_, Harm::Lose)) => return Ok(()),
                Some((_, Harm::Swallow)) => continue,
                Some((request, Harm::Hold)) => self.wait_while(|rules| rules.answers.contains_key(&request)),
            }
            to.write_all(&frame)?;
        }
    }

    fn harm_of(&self, request: Request) -> Option<(Request, Harm)> {
        let mut rules = self.rules();
        let harm = *rules.answers.get(&request)?;
        match &mut rules.left {
            Some(0) => return None,
            Some(left) => *left -= 1,
            None => {}
        }
        rules.harmed += 1;
        Some((request, harm))
    }

    fn wait_while(&self, jammed: impl Fn(&Rules) -> bool) {
        let mut rules = self.rules();
        while jammed(&rules) && !rules.closed {
            rules = self.healed.wait(rules).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

type Asked = Mutex<HashMap<i32, Request>>;

/// A whole frame with its size in front.
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

    fn ask(stream: &mut TcpStream, request: Request, number: i32) -> io::Result<i32> {
        let frame = [&8_i32.to_be_bytes()[..], &request.0.to_be_bytes(), &[0, 0], &number.to_be_bytes()].concat();
        stream.write_all(&frame)?;
        let answer = read_frame(stream)?;
        Ok(i32::from_be_bytes([answer[4], answer[5], answer[6], answer[7]]))
    }

    #[test]
    fn it_passes_delays_loses_and_heals() {
        let proxy = Proxy::start(free_port(), echo());
        let connect = || TcpStream::connect(("127.0.0.1", proxy.port)).expect("the door is open");
        let mut client = connect();
        assert_eq!(ask(&mut client, Request::PRODUCE, 7).expect("an answer"), 7);
        proxy.harm(Request::END_TXN, Harm::Delay(Duration::from_millis(200)));
        let start = Instant::now();
        assert_eq!(ask(&mut client, Request::PRODUCE, 8).expect("an answer"), 8);
        assert_eq!(ask(&mut client, Request::END_TXN, 9).expect("an answer"), 9);
        assert!(start.elapsed() >= Duration::from_millis(200), "the answer was delayed");
        proxy.harm_next(1, Request::END_TXN, Harm::Lose);
        assert!(ask(&mut client, Request::END_TXN, 10).is_err(), "the answer is lost");
        let mut client = connect();
        assert_eq!(ask(&mut client, Request::END_TXN, 11).expect("only one is lost"), 11);
        assert_eq!((proxy.harmed(), proxy.passed(Request::END_TXN)), (2, 3));
        proxy.harm_next(1, Request::FETCH, Harm::Swallow);
        let frame =
            [&8_i32.to_be_bytes()[..], &Request::FETCH.0.to_be_bytes(), &[0, 0], &12_i32.to_be_bytes()].concat();
        client.write_all(&frame).expect("written");
        assert_eq!(ask(&mut client, Request::END_TXN, 13).expect("what follows arrives"), 13);
        proxy.shut();
        assert!(ask(&mut client, Request::PRODUCE, 12).is_err(), "the connection is cut");
        assert!(ask(&mut connect(), Request::PRODUCE, 13).is_err(), "nobody is let in");
        proxy.heal();
        assert_eq!(ask(&mut connect(), Request::PRODUCE, 14).expect("an answer"), 14);
    }

    #[test]
    fn what_is_held_comes_after_healing() {
        for held in [None, Some(Direction::In), Some(Direction::Out)] {
            let proxy = Proxy::start(free_port(), echo());
            match held {
                Some(direction) => proxy.hold(direction),
                None => proxy.harm(Request::FETCH, Harm::Hold),
            }
            let mut client = TcpStream::connect(("127.0.0.1", proxy.port)).expect("the door is open");
            client.set_read_timeout(Some(Duration::from_millis(100))).expect("set");
            assert!(ask(&mut client, Request::FETCH, 1).is_err(), "no answer while it is held: {held:?}");
            proxy.heal();
            client.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
            assert_eq!(read_frame(&mut client).expect("the answer")[4..], 1_i32.to_be_bytes());
        }
    }
}
