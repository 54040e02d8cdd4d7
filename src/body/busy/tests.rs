//! The busy body by itself: paces, spilling, back-pressure, and every way to end.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::body::content::{BLOCK, Content, INLINE_MAX, Parts};

const KIB: usize = 1 << 10;

fn means(budget: u64, window: u64, spill: u64) -> Means {
    Means { budget: Budget::new(budget), spill: SpillArea::new(std::env::temp_dir(), spill), window }
}

/// All room in files is given back, which takes a moment: files are closed off the threads that serve.
async fn nothing_is_spilled(means: &Means) {
    while means.spill.used() > 0 {
        tokio::task::yield_now().await;
    }
}

fn plenty() -> Means {
    means(1 << 30, 64 << 10, 1 << 30)
}

/// Bytes that tell their offset.
fn bytes_at(offset: usize, len: usize) -> Bytes {
    (offset..offset + len).map(|at| u8::try_from(at % 251).expect("small")).collect::<Vec<_>>().into()
}

async fn write(writer: &mut Writer, len: usize, chunk: usize) -> Result<(), Abandoned> {
    for offset in (0..len).step_by(chunk) {
        writer.append(bytes_at(offset, chunk.min(len - offset))).await?;
    }
    Ok(())
}

async fn read_all(reader: &mut Reader) -> Result<Vec<u8>, BodyError> {
    let mut all = Vec::new();
    while let Some(bytes) = reader.next().await {
        all.extend_from_slice(&bytes?);
    }
    Ok(all)
}

async fn within<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(std::time::Duration::from_secs(20), what).await.expect("in time")
}

fn joined(content: &Content) -> Vec<u8> {
    match &content.parts {
        Parts::Inline(bytes) => bytes.to_vec(),
        Parts::Blocks(blocks) => blocks.concat(),
    }
}

#[tokio::test]
async fn a_body_for_which_memory_was_set_aside_is_kept_although_the_rest_is_used_up() {
    let means = plenty();
    let (_, mut writer) = BusyBody::new(means.clone(), Retention::Store);
    let reserved = means.budget.try_reserve(BLOCK as u64).expect("there is plenty");
    writer.memory_is_set_aside();
    let _all = means.budget.charge(means.budget.limit());
    write(&mut writer, BLOCK, 10_000).await.expect("wanted");
    drop(reserved);
    assert!(writer.finish(None).is_some_and(|content| content.length == BLOCK as u64));
}

#[tokio::test]
async fn a_window_holds_one_chunk_at_most_while_the_budget_is_used_up() {
    let means = plenty();
    let (_, mut writer, mut reader) = BusyBody::with_reader(means.clone(), Retention::Window);
    let _all = means.budget.charge(means.budget.limit());
    let chunk = Bytes::from(vec![1; 5000]);
    writer.append(chunk.clone()).await.expect("an empty one takes a chunk");
    let mut more = std::pin::pin!(writer.append(chunk.clone()));
    tokio::select! {
        biased;
        _ = &mut more => panic!("what its reader has not taken is there still"),
        () = std::future::ready(()) => {}
    }
    assert!(reader.next().await.expect("more").expect("bytes") == chunk);
    more.await.expect("its reader has taken all");
    assert!(reader.next().await.expect("more").expect("bytes") == chunk);
}

#[tokio::test]
async fn every_reader_gets_every_byte_whenever_it_joins() {
    let (body, mut writer, mut early) = BusyBody::with_reader(plenty(), Retention::Store);
    write(&mut writer, 3 * BLOCK + 5, 10_000).await.expect("wanted");
    let mut late = body.reader().expect("may join");
    let content = writer.finish(None).expect("kept");
    let mut after_the_end = body.reader().expect("may join a finished body");
    let whole = bytes_at(0, 3 * BLOCK + 5);
    for reader in [&mut early, &mut late, &mut after_the_end] {
        assert!(read_all(reader).await.expect("whole") == whole);
    }
    assert!(joined(&content) == whole);
    let Parts::Blocks(blocks) = &content.parts else { panic!("too large to sit inline") };
    assert_eq!(blocks.iter().map(Bytes::len).collect::<Vec<_>>(), [BLOCK, BLOCK, BLOCK, 5]);
}

#[tokio::test]
async fn small_bodies_sit_inline() {
    for len in [0, 1, INLINE_MAX] {
        let (_body, mut writer) = BusyBody::new(plenty(), Retention::Store);
        write(&mut writer, len, 1000).await.expect("wanted");
        let content = writer.finish(None).expect("kept");
        assert!(matches!(&content.parts, Parts::Inline(bytes) if *bytes == bytes_at(0, len)));
    }
}

#[tokio::test]
async fn a_dropped_writer_never_passes_for_an_end() {
    let (body, mut writer, mut reader) = BusyBody::with_reader(plenty(), Retention::Store);
    write(&mut writer, 100, 100).await.expect("wanted");
    drop(writer);
    assert_eq!(reader.next().await, Some(Ok(bytes_at(0, 100))), "what came is still there");
    assert_eq!(reader.next().await, Some(Err(BodyError::Aborted)));
    assert!(body.reader().is_none(), "nobody joins a broken body");
}

#[tokio::test]
async fn a_slow_reader_does_not_slow_the_writer_and_its_bytes_spill() {
    let means = means(1 << 30, 64 << 10, 1 << 30);
    let (_body, mut writer, mut slow) = BusyBody::with_reader(means.clone(), Retention::Spool);
    write(&mut writer, 8 << 20, 16 * KIB).await.expect("wanted");
    assert!(means.budget.used() < 1 << 20, "{} bytes in memory", means.budget.used());
    assert!(means.spill.used() > 7 << 20, "{} bytes spilled", means.spill.used());
    writer.finish(None);
    assert!(read_all(&mut slow).await.expect("whole") == bytes_at(0, 8 << 20));
    drop(slow);
    assert_eq!(means.budget.used(), 0, "everything is given back");
    within(nothing_is_spilled(&means)).await;
}

#[tokio::test]
async fn a_window_holds_the_writer_until_its_reader_has_taken() {
    let means = means(1 << 30, 10_000, 1 << 30);
    let (_body, mut writer, mut reader) = BusyBody::with_reader(means.clone(), Retention::Window);
    writer.append(bytes_at(0, 10_000)).await.expect("wanted");
    let more = tokio::spawn(async move {
        writer.append(bytes_at(10_000, 10_000)).await.expect("wanted");
        writer.finish(None)
    });
    tokio::task::yield_now().await;
    assert!(!more.is_finished(), "the window is full");
    assert_eq!(read_all(&mut reader).await.expect("whole").len(), 20_000);
    assert_eq!(means.spill.used(), 0, "a window never spills");
}

#[tokio::test]
async fn over_every_budget_one_reader_brakes() {
    let (_body, mut writer, mut reader) = BusyBody::with_reader(means(50_000, 10_000, 0), Retention::Spool);
    let writing = tokio::spawn(async move {
        write(&mut writer, 2 << 20, 5000).await.expect("wanted");
        writer.finish(None);
    });
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!writing.is_finished());
    assert!(read_all(&mut reader).await.expect("whole") == bytes_at(0, 2 << 20));
}

#[tokio::test]
async fn over_every_budget_the_farthest_behind_of_several_is_ended() {
    let (body, mut writer, mut fast) = BusyBody::with_reader(means(1 << 30, 10_000, 0), Retention::Spool);
    let mut stuck = body.reader().expect("may join");
    let reading = tokio::spawn(async move { read_all(&mut fast).await });
    let writing = tokio::spawn(async move {
        for offset in (0..1 << 20).step_by(5000) {
            writer.append(bytes_at(offset, 5000)).await.expect("wanted");
            tokio::task::yield_now().await;
        }
        writer.finish(None);
    });
    writing.await.expect("the writer was not held");
    assert_eq!(reading.await.expect("read").expect("whole").len() % 5000, 0);
    assert_eq!(read_all(&mut stuck).await.expect_err("ended"), BodyError::TooSlow);
}

#[tokio::test]
async fn a_store_over_budget_goes_on_unstored_and_whole_for_its_reader() {
    let (body, mut writer, mut reader) =
        BusyBody::with_reader(means(300_000, 50_000, 1 << 30), Retention::Store);
    write(&mut writer, 2 << 20, 20_000).await.expect("wanted");
    assert_eq!(writer.retention(), Retention::Spool);
    assert!(writer.finish(None).is_none(), "nothing to store");
    assert!(read_all(&mut reader).await.expect("whole") == bytes_at(0, 2 << 20));
    assert!(body.reader().is_none(), "bytes are gone");
}

#[tokio::test]
async fn what_nobody_wants_is_abandoned_unless_it_is_stored() {
    let (_body, mut writer, reader) = BusyBody::with_reader(plenty(), Retention::Spool);
    drop(reader);
    writer.abandoned().await;
    assert_eq!(writer.append(bytes_at(0, 1)).await, Err(Abandoned));

    let (_body, mut writer, reader) = BusyBody::with_reader(plenty(), Retention::Store);
    drop(reader);
    assert_eq!(writer.append(bytes_at(0, 1)).await, Ok(()));
    assert!(writer.finish(None).is_some());
}

#[tokio::test]
async fn with_the_budget_used_up_only_the_next_chunk_stays_in_memory() {
    let means = means(10_000, 64 << 10, 1 << 30);
    let others = means.budget.charge(10_000);
    let (_body, mut writer, mut slow) = BusyBody::with_reader(means.clone(), Retention::Spool);
    for offset in (0..1 << 20).step_by(16 * KIB) {
        writer.append(bytes_at(offset, 16 * KIB)).await.expect("wanted");
        let kept = means.budget.used() - 10_000;
        assert!(kept < 17 * KIB as u64, "{kept} bytes over the budget");
    }
    writer.finish(None);
    assert!(read_all(&mut slow).await.expect("whole") == bytes_at(0, 1 << 20));
    drop(others);
}

#[tokio::test]
async fn with_the_budget_used_up_a_stalled_reader_and_a_spilled_tail_do_not_hold_the_writer() {
    let means = means(1 << 20, 64 << 10, 1 << 30);
    let budget = Arc::clone(&means.budget);
    // The reader does not read: the first bytes stay in memory, the rest goes to the file.
    let (_body, mut writer, _stalled) = BusyBody::with_reader(means, Retention::Spool);
    write(&mut writer, 512 << 10, 16 * KIB).await.expect("wanted");
    let _others = budget.charge(budget.limit());
    for at in (512 << 10..1 << 20).step_by(256 << 10) {
        let append = writer.append(bytes_at(at, 256 << 10));
        tokio::time::timeout(std::time::Duration::from_secs(5), append)
            .await
            .expect("not held")
            .expect("wanted");
    }
}

#[tokio::test]
async fn nobody_joins_a_body_that_was_given_up() {
    let (body, mut writer, reader) = BusyBody::with_reader(plenty(), Retention::Store);
    assert!(!writer.abandon_unread(), "somebody reads it");
    drop(reader);
    assert!(writer.abandon_unread());
    assert!(body.reader().is_none());
    assert_eq!(writer.append(bytes_at(0, 1)).await, Err(Abandoned));
}

#[tokio::test]
async fn giving_up_tells_both_sides() {
    let (body, writer, mut reader) = BusyBody::with_reader(plenty(), Retention::Window);
    let waiting = tokio::spawn(async move { reader.next().await });
    tokio::task::yield_now().await;
    body.give_up();
    assert_eq!(waiting.await.expect("not stuck"), Some(Err(BodyError::Aborted)));
    writer.abandoned().await;
}

#[tokio::test]
async fn a_reader_that_leaves_frees_a_waiting_writer() {
    let (body, mut writer, keen) = BusyBody::with_reader(means(1 << 30, 1000, 0), Retention::Window);
    let stuck = body.reader().expect("may join");
    writer.append(bytes_at(0, 1000)).await.expect("wanted");
    let more = tokio::spawn(async move { writer.append(bytes_at(1000, 1000)).await });
    tokio::task::yield_now().await;
    drop((keen, stuck));
    assert_eq!(more.await.expect("not stuck"), Err(Abandoned));
}

#[tokio::test]
async fn a_spill_directory_that_fails_means_back_pressure_and_not_an_error() {
    let spill = SpillArea::new("/nonexistent/forebay".into(), 1 << 30);
    let means = Means { budget: Budget::new(1 << 30), spill, window: 10_000 };
    let (_body, mut writer, mut reader) = BusyBody::with_reader(means, Retention::Spool);
    let writing = tokio::spawn(async move {
        write(&mut writer, 2 << 20, 5000).await.expect("wanted");
        writer.finish(None);
    });
    assert!(read_all(&mut reader).await.expect("whole") == bytes_at(0, 2 << 20));
    writing.await.expect("written");
}

#[tokio::test]
async fn trailers_come_with_the_end() {
    let (_body, writer, mut reader) = BusyBody::with_reader(plenty(), Retention::Spool);
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", "1".parse().expect("a value"));
    writer.finish(Some(trailers));
    assert_eq!(reader.next().await, None);
    assert_eq!(reader.trailers().expect("trailers")["x-sum"], "1");
}

/// What a random run does next.
#[derive(Clone, Debug)]
enum Action {
    Append(usize),
    Lower(Retention),
    Join,
    Read(usize),
    Leave(usize),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (1..200_000_usize).prop_map(Action::Append),
        1 => prop_oneof![Just(Retention::Spool), Just(Retention::Window)].prop_map(Action::Lower),
        2 => Just(Action::Join),
        4 => (0..6_usize).prop_map(Action::Read),
        1 => (0..6_usize).prop_map(Action::Leave),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens in whatever order, to two bodies that share memory and room in files: a reader has got a prefix of the
    /// bytes written, and all of them if it came to an end without an error. All that was charged is given back.
    #[test]
    fn readers_get_the_exact_bytes_or_an_error(
        actions in prop::collection::vec(action(), 1..60),
        of_another in prop::collection::vec(action(), 1..60),
        budget in 1_000_u64..2_000_000,
        window in 100_u64..100_000,
        spill in prop_oneof![Just(0_u64), 1_000..4_000_000_u64],
        finishes: bool,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let means = means(budget, window, spill);
        let runs = async {
            let another = random_run(of_another, means.clone(), !finishes);
            tokio::join!(random_run(actions, means.clone(), finishes), another)
        };
        let (one, another) = runtime.block_on(runs);
        one.and(another)?;
        // A cancelled spill runs to its end on the blocking pool, which is waited for here.
        drop(runtime);
        prop_assert_eq!((means.budget.used(), means.spill.used()), (0, 0));
    }
}

async fn random_run(actions: Vec<Action>, means: Means, finishes: bool) -> Result<(), TestCaseError> {
    let (body, mut writer, first) = BusyBody::with_reader(means, Retention::Store);
    let mut readers = vec![(first, 0_usize)];
    let mut written = 0;
    for action in actions {
        match action {
            Action::Append(len) => {
                // A held writer is freed by reading; the run goes on without the chunk if nobody reads.
                let append = writer.append(bytes_at(written, len));
                match tokio::time::timeout(std::time::Duration::from_millis(2), append).await {
                    Ok(Ok(())) => written += len,
                    // The chunk may have been added in part: this body can only fail now.
                    Ok(Err(_)) | Err(_) => return end(body, writer, readers, false).await,
                }
            }
            Action::Lower(retention) => writer.lower_retention(retention),
            Action::Join => readers.extend(body.reader().map(|reader| (reader, 0))),
            Action::Read(index) => {
                if let Some((reader, position)) = readers.get_mut(index) {
                    let read = tokio::time::timeout(std::time::Duration::from_millis(1), reader.next()).await;
                    if let Ok(Some(Ok(bytes))) = read {
                        prop_assert!(bytes == bytes_at(*position, bytes.len()));
                        *position += bytes.len();
                    }
                }
            }
            Action::Leave(index) => {
                if index < readers.len() {
                    readers.remove(index);
                }
            }
        }
    }
    end(body, writer, readers, finishes).await
}

async fn end(
    body: BusyBody,
    writer: Writer,
    readers: Vec<(Reader, usize)>,
    finishes: bool,
) -> Result<(), TestCaseError> {
    let content = if finishes {
        writer.finish(None)
    } else {
        writer.fail(BodyError::Incomplete);
        None
    };
    let len = usize::try_from(body.len()).expect("fits");
    if let Some(content) = &content {
        prop_assert!(joined(content) == bytes_at(0, len));
    }
    for (mut reader, position) in readers {
        let rest = read_all(&mut reader).await;
        match rest {
            Ok(rest) => {
                prop_assert!(finishes, "a broken body ended as whole");
                prop_assert!(rest == bytes_at(position, len - position));
            }
            Err(error) => prop_assert!(!finishes || error == BodyError::TooSlow, "{error}"),
        }
    }
    Ok(())
}

#[test]
fn readers_and_writers_may_move_between_threads() {
    fn is_send<T: Send>() {}
    is_send::<Reader>();
    is_send::<Writer>();
    is_send::<Arc<BusyBody>>();
}

/// A reader of parts while one is written of `len` bytes, in each retention.
async fn parts_of(retention: Retention, len: usize, parts: &[(u64, u64)]) -> Result<Vec<u8>, BodyError> {
    let (_body, mut writer, reader) = BusyBody::with_reader(means(256 << 10, 64 << 10, 0), retention);
    let mut reader = reader.parts(parts.iter().map(|(start, end)| *start..*end));
    let written = async {
        let written = write(&mut writer, len, 10_000).await;
        written.map(|()| writer.finish(None))
    };
    let read = async {
        let all = read_all(&mut reader).await;
        assert!(reader.is_finished() || all.is_err());
        drop(reader);
        all
    };
    tokio::join!(written, read).1
}

#[tokio::test(start_paused = true)]
async fn parts_are_read_and_nothing_is_held_before_them() {
    // Far more than the budget: who waits for the end of it holds nothing back.
    let (len, end) = (4 << 20, 4 << 20);
    let parts = [(5, 9), (700_000, 1_000_001), (end - 3, end)];
    let expected = [bytes_at(5, 4), bytes_at(700_000, 300_001), bytes_at(len - 3, 3)].concat();
    for retention in [Retention::Window, Retention::Spool, Retention::Store] {
        let read =
            tokio::time::timeout(std::time::Duration::from_secs(9), parts_of(retention, len, &parts)).await;
        assert!(read.expect("no part waits for another") == Ok(expected.clone()), "{retention:?}");
    }
}

#[tokio::test]
async fn a_part_beyond_the_end_is_incomplete() {
    let read = parts_of(Retention::Store, 1000, &[(0, 10), (990, 1001)]).await;
    assert_eq!(read, Err(BodyError::Incomplete));
}

mod shares;
mod waiting;
