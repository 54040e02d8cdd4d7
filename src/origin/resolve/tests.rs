use super::*;

fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
    texts.iter().map(|text| text.parse().expect("an address")).collect()
}

#[test]
fn families_take_turns_and_nothing_is_tried_twice() {
    let given = addresses(&["[::1]:1", "[::2]:1", "[::1]:1", "192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1"]);
    let ordered = addresses(&["[::1]:1", "192.0.2.1:1", "[::2]:1", "192.0.2.2:1", "192.0.2.3:1"]);
    assert_eq!(by_turns(given), ordered);
    assert_eq!(by_turns(Vec::new()), Vec::new());
}

/// Answers when it is told to, and counts.
#[derive(Debug, Default)]
struct Slow {
    lookups: Mutex<Vec<oneshot::Sender<io::Result<Vec<SocketAddr>>>>>,
}

impl Resolve for Slow {
    fn resolve(&self, _: &str) -> Resolving {
        let (tell, told) = oneshot::channel();
        self.lookups.lock().push(tell);
        Box::pin(async { told.await.map_err(io::Error::other)? })
    }
}

#[tokio::test(start_paused = true)]
async fn who_began_a_lookup_may_leave_and_the_others_have_its_answer() {
    let names = Arc::new(Names::new("a:80", Duration::from_secs(30), Duration::from_secs(5)));
    let resolver = Arc::new(Slow::default());
    let ask = || {
        let (names, resolver) = (Arc::clone(&names), Arc::clone(&resolver));
        tokio::spawn(async move { names.addresses(&*resolver).await })
    };
    let (first, second) = (ask(), ask());
    tokio::task::yield_now().await;
    first.abort();
    let _ = first.await;
    let third = ask();
    tokio::task::yield_now().await;
    let tell = resolver.lookups.lock().pop().expect("a lookup");
    assert!(resolver.lookups.lock().is_empty(), "one lookup");
    tell.send(Ok(addresses(&["192.0.2.1:80"]))).expect("it waits");
    for asked in [second, third] {
        assert_eq!(*asked.await.expect("a task").expect("an answer"), *addresses(&["192.0.2.1:80"]));
    }
}

#[tokio::test(start_paused = true)]
async fn an_address_is_never_looked_up() {
    let names = Arc::new(Names::new("[::1]:80", Duration::ZERO, Duration::from_secs(5)));
    let resolver = Slow::default();
    for _ in 0..3 {
        assert_eq!(*names.addresses(&resolver).await.expect("itself"), *addresses(&["[::1]:80"]));
        tokio::time::advance(Duration::from_mins(1)).await;
    }
    assert!(resolver.lookups.lock().is_empty());
}
