//! Policies that change while the daemon runs: nobody asks for a reload.

use std::os::unix::fs::symlink;

use evictd::console::policies::PolicyStatus;
use evictd::model::CaseStatus;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::support::{House, PATIENCE, POLL, theft, victims, write_policies};

const FINE: &str = "policy: fine\nmode: shadow\nowner: identity-team\nwindow: 1h\n\
                    signals: { session_hosting: 90 }\n\
                    rungs: [{ at: 90, do: [revoke_sessions] }]\n\
                    promote: { precision: 95%, cases: 20 }\n";

async fn wait_for(
    house: &House,
    what: &str,
    holds: impl Fn(&PolicyStatus) -> bool,
) -> PolicyStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = house.client.policies().await.unwrap();
        if holds(&status) {
            return status;
        }
        assert!(Instant::now() < deadline, "{what}: {status:?}");
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_serves_and_one_that_breaks_leaves_the_last_good_set_until_mended() {
    let house = House::with_policies(Some(&[("fine.yaml", FINE)])).await;
    let write = |text: &str| write_policies(house.directory.path(), &[("fine.yaml", text)]);
    let first = house.client.policies().await.unwrap();
    let hash = first.serving.hash.clone();
    assert_eq!(first.attempt.problems, [""; 0]);
    assert_eq!(first.on_disk.unwrap().hash, Some(hash.clone()));

    write(&FINE.replace("shadow", "shadowy"));
    let stale = wait_for(&house, "stale", |s| !s.attempt.problems.is_empty()).await;
    let problem = &stale.attempt.problems[0];
    assert!(
        problem.contains("fine.yaml:2:7: ") && problem.contains("^^^^^^^"),
        "{problem}"
    );
    assert_eq!(
        (&stale.serving.hash, stale.serving.since),
        (&hash, first.serving.since)
    );
    let on_disk = stale.on_disk.unwrap();
    assert_eq!(
        (on_disk.hash, on_disk.differs),
        (None, vec!["changed fine.yaml".to_owned()])
    );
    assert!(house.client.status().await.unwrap().about.policies_stale);
    let metrics = house.metrics().await;
    assert!(metrics.contains("evictd_policies_stale 1"), "{metrics}");
    let serves = |hash: &str| format!("evictd_policies_info{{hash=\"{hash}\"}} 1");
    assert!(metrics.contains(&serves(&hash)), "{metrics}");

    // The last good set decides: in shadow.
    let [before, after] = [&victims(2)[0], &victims(2)[1]];
    house.publish(&theft(before, Timestamp::now()));
    let case = house.wait_for_case(before, CaseStatus::Shadow).await;
    let status = wait_for(&house, "counted", |s| !s.calls.is_empty()).await;
    assert_eq!(
        (status.calls["fine"].shadow, status.calls["fine"].acted),
        (1, 0)
    );
    assert_eq!(
        house
            .metric("evictd_policy_reloads_total{result=\"failed\"}")
            .await,
        1
    );

    write(&FINE.replace("shadow", "enforce"));
    let mended = wait_for(&house, "mended", |s| s.serving.hash != hash).await;
    assert!(mended.attempt.problems.is_empty(), "{mended:?}");
    assert!(mended.serving.since > first.serving.since);
    let new = mended.serving.hash;
    let metrics = house.metrics().await;
    assert!(metrics.contains("evictd_policies_stale 0"), "{metrics}");
    assert!(
        metrics.contains(&serves(&new)) && !metrics.contains(&serves(&hash)),
        "{metrics}"
    );
    house.publish(&theft(after, Timestamp::now()));
    let acted = house.wait_for_case(after, CaseStatus::Contained).await;
    let acted = house.client.case(&acted.id.to_string()).await.unwrap();
    assert_eq!(&*acted.decisions[0].decision.policy_set, new);

    // What was right of it, and where its mode stands.
    let said = evictd::console::control::Said {
        truth: evictd::model::Truth::Theft,
        note: None,
    };
    house
        .client
        .find(&case.id.to_string(), &said)
        .await
        .unwrap();
    let report = house
        .client
        .policy_report(first.counted_since)
        .await
        .unwrap();
    let standing = &report.policies[0];
    assert_eq!((standing.theft, standing.unjudged), (1, 1));
    assert_eq!(standing.meets_bar, Some(false));
    let place = standing.mode_at.as_deref().unwrap();
    assert!(place.ends_with("policies/fine.yaml:2"), "{place}");
    house.daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_config_map_that_is_swapped_serves_and_a_folder_that_is_gone_is_told() {
    let house = House::with_policies(Some(&[("fine.yaml", FINE)])).await;
    let folder = house.directory.path().join("policies");
    let first = house.client.policies().await.unwrap().serving.hash;
    // As the kubelet does it: files are links through a link that is swapped.
    for (version, text) in [
        ("..v1", FINE.to_owned()),
        ("..v2", FINE.replace("90", "91")),
    ] {
        std::fs::create_dir(folder.join(version)).unwrap();
        std::fs::write(folder.join(version).join("fine.yaml"), text).unwrap();
    }
    symlink("..v1", folder.join("..data")).unwrap();
    std::fs::remove_file(folder.join("fine.yaml")).unwrap();
    symlink("..data/fine.yaml", folder.join("fine.yaml")).unwrap();
    let same = house.client.policies().await.unwrap();
    assert_eq!(same.on_disk.unwrap().differs, [""; 0]);

    symlink("..v2", folder.join("..data_tmp")).unwrap();
    std::fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    let swapped = wait_for(&house, "swapped", |s| s.serving.hash != first).await;

    std::fs::rename(&folder, house.directory.path().join("away")).unwrap();
    let gone = wait_for(&house, "gone", |s| !s.attempt.problems.is_empty()).await;
    assert!(
        gone.attempt.problems[0].contains("cannot be read"),
        "{gone:?}"
    );
    assert_eq!(gone.serving.hash, swapped.serving.hash);
    std::fs::rename(house.directory.path().join("away"), &folder).unwrap();
    wait_for(&house, "back", |s| s.attempt.problems.is_empty()).await;
    house.daemon.stop().await.unwrap();
}
