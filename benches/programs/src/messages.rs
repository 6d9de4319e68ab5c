//! An asynchronous message system: services behind channels, boxed messages, a task for each request.

use crate::checksum::Checksum;
use crate::input::{self, Rng};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

const SERVICES: usize = 16;
/// Requests of one round, all in flight at once.
const REQUESTS: usize = 2_000;

enum Message {
    Put {
        key: u64,
        text: String,
    },
    Get {
        key: u64,
        reply: oneshot::Sender<Option<Arc<str>>>,
    },
    /// Goes on to the service after this one until no hops are left.
    Pass {
        hops: usize,
        trail: Vec<String>,
        reply: oneshot::Sender<Vec<String>>,
    },
}

type Mailbox = mpsc::Sender<Box<Message>>;

/// What `key` holds, at any time and for any client: so the answer does not depend on the order of requests.
fn content(key: u64, words: &[&str]) -> String {
    let mut rng = Rng::new(key);
    let count = 4 + rng.skewed(60);
    rng.sentence(words, count)
}

async fn serve(
    name: usize,
    mut mailbox: mpsc::Receiver<Box<Message>>,
    next: mpsc::UnboundedSender<Box<Message>>,
) -> u64 {
    let mut store: BTreeMap<u64, Arc<str>> = BTreeMap::new();
    let mut served = 0;
    while let Some(message) = mailbox.recv().await {
        served += 1;
        match *message {
            Message::Put { key, text } => {
                store.insert(key, text.into());
            }
            // The asker may be gone.
            Message::Get { key, reply } => drop(reply.send(store.get(&key).cloned())),
            Message::Pass { hops: 0, trail, reply } => drop(reply.send(trail)),
            Message::Pass { hops, mut trail, reply } => {
                trail.push(format!("service {name}, {hops} to go"));
                drop(next.send(Box::new(Message::Pass { hops: hops - 1, trail, reply })));
            }
        }
    }
    served
}

async fn request(seed: u64, services: Arc<[Mailbox]>, words: Arc<[&'static str]>) -> u64 {
    let mut rng = Rng::new(seed);
    let mut sum = Checksum::default();
    let key = rng.skewed(60_000) as u64;
    let home = &services[key as usize % SERVICES];
    let text = content(key, &words);
    home.send(Box::new(Message::Put { key, text })).await.expect("served to the end");
    let (reply, answer) = oneshot::channel();
    home.send(Box::new(Message::Get { key, reply })).await.expect("served to the end");
    sum.text(&answer.await.expect("answered").unwrap_or_default());
    let (reply, answer) = oneshot::channel();
    let hops = rng.skewed(8);
    home.send(Box::new(Message::Pass { hops, trail: Vec::new(), reply })).await.expect("served to the end");
    answer.await.expect("answered").iter().for_each(|step| sum.text(step));
    sum.value()
}

/// Carries what one service passes on to the next, so that full mailboxes cannot lock each other.
async fn forward(mut from: mpsc::UnboundedReceiver<Box<Message>>, to: mpsc::WeakSender<Box<Message>>) {
    while let Some(message) = from.recv().await {
        // Upgraded for each message: a service ends when the askers are gone.
        let Some(to) = to.upgrade() else { return };
        drop(to.send(message).await);
    }
}

pub(crate) fn run(scale: u32) -> u64 {
    let words: Arc<[&'static str]> = input::words().into();
    let runtime = Builder::new_multi_thread().worker_threads(2).build().expect("threads can start");
    runtime.block_on(async {
        let (mailboxes, receivers): (Vec<Mailbox>, Vec<_>) = (0..SERVICES).map(|_| mpsc::channel(64)).unzip();
        let mut running = JoinSet::new();
        for (name, receiver) in receivers.into_iter().enumerate() {
            let (next, passed) = mpsc::unbounded_channel();
            tokio::spawn(forward(passed, mailboxes[(name + 1) % SERVICES].downgrade()));
            running.spawn(serve(name, receiver, next));
        }
        let services: Arc<[Mailbox]> = mailboxes.into();
        let mut sum = 0_u64;
        for round in 0..u64::from(scale) {
            let mut requests = JoinSet::new();
            for number in 0..REQUESTS as u64 {
                let seed = round * REQUESTS as u64 + number;
                requests.spawn(request(seed, Arc::clone(&services), Arc::clone(&words)));
            }
            // In the order they finish, which is any.
            while let Some(done) = requests.join_next().await {
                sum = sum.wrapping_add(done.expect("no request panics"));
            }
        }
        drop(services);
        while let Some(served) = running.join_next().await {
            sum = sum.wrapping_add(served.expect("no service panics"));
        }
        sum
    })
}

#[cfg(test)]
#[test]
fn checksum() {
    assert_eq!(run(1), 0xbccf_17df_8e00_f3c5);
}
