//! The quarantine and its bounds.

use super::*;

async fn keep(fixture: &Fixture, records: Vec<Quarantined>, released: Vec<i64>) -> u64 {
    let commit = Commit {
        quarantine: records,
        released,
        ..Commit::default()
    };
    let committed = fixture.store.commit(commit, at(5)).await.unwrap();
    committed.quarantine_dropped
}

#[tokio::test]
async fn records_are_kept_as_they_came_paged_and_released() {
    let fixture = Fixture::new().await;
    let mut third = quarantined(3, 4);
    third.record.index = Some(2);
    let records = vec![quarantined(1, 1), quarantined(2, 2), third.clone()];
    assert_eq!(keep(&fixture, records, Vec::new()).await, 0);
    let page = fixture.store.quarantine(0, 2).await.unwrap();
    assert_eq!(page.len(), 2);
    let rest = fixture.store.quarantine(page[1].id, 9).await.unwrap();
    assert_eq!(rest.len(), 1);
    assert_eq!(rest[0].record, third.record);
    assert_eq!((rest[0].sequence, &*rest[0].hub), (3, "signins"));
    assert_eq!(
        (rest[0].enqueued_at, rest[0].quarantined_at),
        (at(1), at(5))
    );

    keep(&fixture, Vec::new(), vec![rest[0].id]).await;
    assert_eq!(fixture.store.stats().await.unwrap().quarantined, 2);
    keep(&fixture, vec![quarantined(4, 1)], Vec::new()).await;
    let newest = fixture.store.quarantine(page[1].id, 9).await.unwrap();
    assert!(newest[0].id > rest[0].id, "an id is never used again");
}

#[tokio::test]
async fn the_oldest_rows_are_dropped_to_keep_the_number_of_rows() {
    let fixture = Fixture::new().await;
    let many = i64::from(quarantine::ROWS_MAX) + 7;
    let records = (0..many).map(|i| quarantined(i, 1)).collect();
    assert_eq!(keep(&fixture, records, Vec::new()).await, 7);
    let oldest = fixture.store.quarantine(0, 1).await.unwrap();
    assert_eq!(oldest[0].sequence, 7);
    let kept = fixture.store.stats().await.unwrap().quarantined;
    assert_eq!(kept, u64::from(quarantine::ROWS_MAX));
}

#[tokio::test]
async fn the_oldest_rows_are_dropped_to_keep_the_number_of_bytes() {
    let fixture = Fixture::new().await;
    let record = quarantine::RECORD_BYTES_MAX;
    let fitting = i64::from(quarantine::BYTES_MAX) / record as i64;
    let records = (0..fitting).map(|i| quarantined(i, record)).collect();
    assert_eq!(keep(&fixture, records, Vec::new()).await, 0);
    assert_eq!(
        keep(&fixture, vec![quarantined(99, 1)], Vec::new()).await,
        1
    );
    let oldest = fixture.store.quarantine(0, 1).await.unwrap();
    assert_eq!(oldest[0].sequence, 1);
}

#[tokio::test]
async fn a_record_that_is_too_long_is_cut_and_says_so() {
    let fixture = Fixture::new().await;
    let most = quarantine::RECORD_BYTES_MAX;
    let records = vec![quarantined(1, most), quarantined(2, most + 1)];
    keep(&fixture, records, Vec::new()).await;
    let rows = fixture.store.quarantine(0, 9).await.unwrap();
    assert_eq!(rows[0].record.reason, "not JSON");
    assert_eq!(rows[1].record.bytes.len(), most);
    assert_eq!(
        rows[1].record.reason,
        "not JSON (cut from 1048577 to 1048576 bytes)"
    );
}
