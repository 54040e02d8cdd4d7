//! Who waits for the whole of a body, and a body that is kept up to a length.

use super::*;

async fn whole(reader: &mut Reader) -> Result<Option<u64>, BodyError> {
    std::future::poll_fn(|cx| reader.poll_whole(cx)).await
}

#[tokio::test]
async fn who_waits_for_the_whole_is_told_its_length_and_has_lost_nothing() {
    let (_, mut writer, mut reader) = BusyBody::with_reader(plenty(), Retention::Spool);
    let writing = async {
        write(&mut writer, BLOCK, 10_000).await.expect("wanted");
        tokio::task::yield_now().await;
        writer.finish(None);
    };
    let (length, ()) = tokio::join!(biased; whole(&mut reader), writing);
    assert_eq!(length, Ok(Some(BLOCK as u64)));
    assert!(read_all(&mut reader).await.expect("whole") == bytes_at(0, BLOCK));
}

#[tokio::test]
async fn who_waits_for_the_whole_is_told_that_it_broke_off() {
    let (_, mut writer, mut reader) = BusyBody::with_reader(plenty(), Retention::Spool);
    let writing = async {
        write(&mut writer, 100, 10).await.expect("wanted");
        tokio::task::yield_now().await;
        writer.fail(BodyError::Incomplete);
    };
    let (length, ()) = tokio::join!(biased; whole(&mut reader), writing);
    assert_eq!(length, Err(BodyError::Incomplete));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_whole_that_is_not_kept_is_told_at_once() {
    let begun = tokio::time::Instant::now();
    let (_, mut writer, mut reader) = BusyBody::with_reader(plenty(), Retention::Spool);
    let lowering = async {
        write(&mut writer, 100, 10).await.expect("wanted");
        tokio::task::yield_now().await;
        writer.lower_retention(Retention::Window);
    };
    let told = async { tokio::join!(biased; whole(&mut reader), lowering) };
    let (length, ()) = tokio::time::timeout(std::time::Duration::from_secs(10), told).await.expect("told");
    assert_eq!((length, begun.elapsed()), (Ok(None), std::time::Duration::ZERO));
    assert_eq!(reader.next().await.expect("bytes").expect("bytes"), bytes_at(0, 10));
}

/// Up to the length that was said it is spooled; what makes it longer waits for the reader, who hears of it.
#[tokio::test]
async fn a_body_is_spooled_no_further_than_it_may_be() {
    for (length, is_whole) in [(1000, true), (1001, false)] {
        let (body, mut writer, mut reader) = BusyBody::with_reader(plenty(), Retention::Spool);
        body.spool_up_to(1000);
        let writing = async {
            write(&mut writer, length, 500).await.expect("wanted");
            tokio::task::yield_now().await;
            let kept = writer.retention();
            writer.finish(None);
            kept
        };
        let (told, kept) = tokio::join!(biased; whole(&mut reader), writing);
        assert_eq!(told, Ok(is_whole.then_some(length as u64)), "{length}");
        assert_eq!(kept == Retention::Spool, is_whole, "{length}");
        assert!(read_all(&mut reader).await.expect("whole") == bytes_at(0, length));
    }
}

/// It is woken for the end alone, and for more again once it reads.
#[tokio::test]
async fn who_waits_for_the_whole_is_not_woken_for_each_piece() {
    let (_, mut writer, mut reader) = BusyBody::with_reader(plenty(), Retention::Spool);
    let woken = Arc::new(Woken::default());
    let waker = std::task::Waker::from(Arc::clone(&woken));
    let mut cx = std::task::Context::from_waker(&waker);
    assert!(reader.poll_whole(&mut cx).is_pending());
    write(&mut writer, 100, 10).await.expect("wanted");
    assert_eq!(woken.0.load(std::sync::atomic::Ordering::Relaxed), 0);
    for _ in 0..10 {
        assert!(reader.poll_next(&mut cx).is_ready());
    }
    assert!(reader.poll_next(&mut cx).is_pending());
    write(&mut writer, 10, 10).await.expect("wanted");
    assert_eq!(woken.0.load(std::sync::atomic::Ordering::Relaxed), 1);
    assert!(reader.poll_whole(&mut cx).is_pending());
    writer.finish(None);
    assert_eq!(woken.0.load(std::sync::atomic::Ordering::Relaxed), 2);
}

#[derive(Default)]
struct Woken(std::sync::atomic::AtomicUsize);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}
