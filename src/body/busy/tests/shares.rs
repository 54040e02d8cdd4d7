//! Many bodies share memory and room in files, and all come to their end.

use super::*;

/// What is written to a body whose reader takes nothing, until it may not grow.
async fn fill(means: &Means, chunk: usize) -> (Writer, Reader, usize) {
    let (_, mut writer, reader) = BusyBody::with_reader(means.clone(), Retention::Spool);
    let (mut written, before) = (0, means.spill.waiting());
    loop {
        let waits = until(|| means.spill.waiting() > before);
        let appended = tokio::select! {
            biased;
            appended = writer.append(bytes_at(written, chunk)) => appended,
            () = waits => return (writer, reader, written),
        };
        appended.expect("wanted");
        written += chunk;
    }
}

async fn until(done: impl Fn() -> bool) {
    within(async {
        while !done() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_newcomer_has_room_in_files_beside_who_has_all_that_he_may() {
    let means = means(1 << 30, 10_000, 9 << 20);
    let (_writer, _stuck, written) = fill(&means, 16 << 10).await;
    assert!(written > 2 << 20 && written < 4 << 20, "{written}");
    let (_, mut writer, mut reader) = BusyBody::with_reader(means.clone(), Retention::Spool);
    within(write(&mut writer, 1 << 20, 16 * KIB)).await.expect("wanted");
    writer.finish(None);
    assert!(read_all(&mut reader).await.expect("whole") == bytes_at(0, 1 << 20));
}

#[tokio::test]
async fn a_body_without_room_goes_on_when_another_gives_its_own_back() {
    let means = means(1 << 30, 10_000, 10 << 20);
    let first = fill(&means, 16 << 10).await;
    let (_, mut writer, mut reader) = BusyBody::with_reader(means.clone(), Retention::Spool);
    let writing = tokio::spawn(async move {
        write(&mut writer, 3 << 20, 16 * KIB).await.expect("wanted");
        writer.finish(None);
    });
    until(|| means.spill.waiting() > 0).await;
    assert!(!writing.is_finished());
    drop(first);
    // Its own reader has taken nothing so far.
    within(writing).await.expect("written");
    assert!(read_all(&mut reader).await.expect("whole") == bytes_at(0, 3 << 20));
    drop(reader);
    within(nothing_is_spilled(&means)).await;
    assert_eq!((means.spill.waiting(), means.budget.used()), (0, 0));
}

#[tokio::test]
async fn a_long_body_passes_through_little_room_because_what_was_read_is_given_back() {
    let means = means(1 << 30, 10_000, 4 << 20);
    let (_, mut writer, mut reader) = BusyBody::with_reader(means.clone(), Retention::Spool);
    let len = 24 << 20;
    let writing = tokio::spawn(async move {
        write(&mut writer, len, 32 * KIB).await.expect("wanted");
        writer.finish(None);
    });
    let mut position = 0;
    while position < len {
        let bytes = within(reader.next()).await.expect("more").expect("bytes");
        assert!(bytes == bytes_at(position, bytes.len()));
        position += bytes.len();
        assert!(means.spill.used() <= means.spill.limit());
    }
    assert_eq!(within(reader.next()).await, None);
    within(writing).await.expect("written");
}

#[tokio::test]
async fn a_writer_that_goes_while_it_waits_for_room_leaves_it_to_the_next() {
    let means = means(1 << 30, 10_000, 2 << 20);
    let first = fill(&means, 16 << 10).await;
    let waiting = |means: Means| {
        tokio::spawn(async move {
            let (_, mut writer, _reader) = BusyBody::with_reader(means, Retention::Spool);
            write(&mut writer, 600 << 10, 16 * KIB).await.expect("wanted");
        })
    };
    let (second, third) = (waiting(means.clone()), waiting(means.clone()));
    until(|| means.spill.waiting() >= 2).await;
    second.abort();
    drop(first);
    within(third).await.expect("it has found room");
}

/// Readers that stand still and readers that go on, many more bodies than there is memory for.
#[tokio::test]
async fn many_bodies_stay_within_a_small_budget_and_end_whole() {
    const BODIES: usize = 60;
    let (budget, len, chunk) = (2 << 20, 700_000, 8 * KIB);
    let means = means(budget, 64 << 10, 1 << 30);
    let mut bodies = Vec::new();
    for _ in 0..BODIES {
        bodies.push(BusyBody::with_reader(means.clone(), Retention::Spool));
    }
    let (mut writers, mut readers) = (Vec::new(), Vec::new());
    for (_, writer, reader) in bodies {
        writers.push(writer);
        readers.push(reader);
    }
    // By turns, so that all of them are under way at a time.
    let most = budget - budget / 8 + (BODIES * (chunk + 96)) as u64;
    for offset in (0..len).step_by(chunk) {
        for writer in &mut writers {
            within(writer.append(bytes_at(offset, chunk.min(len - offset)))).await.expect("wanted");
            assert!(means.budget.used() <= most, "{} of {budget}", means.budget.used());
        }
    }
    for writer in writers {
        writer.finish(None);
    }
    for reader in &mut readers {
        assert!(read_all(reader).await.expect("whole") == bytes_at(0, len));
    }
    drop(readers);
    assert_eq!(means.budget.used(), 0);
}

#[tokio::test]
async fn a_body_that_is_to_be_stored_does_not_take_all_memory_from_the_next() {
    let means = means(8 << 20, 64 << 10, 1 << 30);
    let (_, mut large, _reader) = BusyBody::with_reader(means.clone(), Retention::Store);
    write(&mut large, 20 << 20, 64 * KIB).await.expect("wanted");
    assert_eq!(large.retention(), Retention::Spool, "it is too long to be kept");
    let (_, mut small) = BusyBody::new(means.clone(), Retention::Store);
    write(&mut small, 1 << 20, 64 * KIB).await.expect("wanted");
    assert!(small.finish(None).is_some(), "there is room for it");
}

#[tokio::test]
async fn one_that_was_ended_never_reads_what_was_given_back() {
    let means = means(1 << 30, 10_000, 3 << 20);
    let (body, mut writer, mut slow) = BusyBody::with_reader(means, Retention::Spool);
    let mut keen = body.reader().expect("may join");
    let reading = tokio::spawn(async move { read_all(&mut keen).await });
    let (mut position, mut end) = (0, None);
    for offset in (0..12 << 20).step_by(64 * KIB) {
        within(writer.append(bytes_at(offset, 64 * KIB))).await.expect("wanted");
        tokio::task::yield_now().await;
        if end.is_none() && offset % (512 * KIB) == 0 {
            match within(slow.next()).await.expect("more") {
                Ok(bytes) => {
                    assert!(bytes == bytes_at(position, bytes.len()), "not what was written");
                    position += bytes.len();
                }
                Err(error) => end = Some(error),
            }
        }
    }
    writer.finish(None);
    assert_eq!(end, Some(BodyError::TooSlow));
    assert!(within(reading).await.expect("read").expect("whole") == bytes_at(0, 12 << 20));
}

#[tokio::test]
async fn a_body_without_a_file_goes_on_when_another_s_is_closed() {
    let means = means(1 << 30, 10_000, 1 << 30);
    means.spill.limit_files(1);
    let (_, mut writer, reader) = BusyBody::with_reader(means.clone(), Retention::Spool);
    write(&mut writer, 1 << 20, 16 * KIB).await.expect("wanted");
    let (_, mut second, mut reader_of_second) = BusyBody::with_reader(means.clone(), Retention::Spool);
    let writing = tokio::spawn(async move {
        write(&mut second, 1 << 20, 16 * KIB).await.expect("wanted");
        second.finish(None);
    });
    until(|| means.spill.waiting() > 0).await;
    // The first goes on: it has its file.
    within(writer.append(bytes_at(1 << 20, 200 * KIB))).await.expect("wanted");
    drop((writer, reader));
    within(writing).await.expect("written");
    assert!(read_all(&mut reader_of_second).await.expect("whole") == bytes_at(0, 1 << 20));
}
