//! One long-running task of the daemon: named, watched, stopped with a bound.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// One task and what stops it.
#[derive(Debug)]
pub(super) struct Stage {
    name: &'static str,
    stop: CancellationToken,
    /// Whether it ends by itself once the stage before it has: then that
    /// stage knows why.
    ends_with_input: bool,
    /// Taken once it has ended: a finished task must not be asked again.
    task: Option<JoinHandle<anyhow::Result<()>>>,
}

impl Stage {
    pub(super) fn spawn<F>(name: &'static str, stop: CancellationToken, work: F) -> Self
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        Self {
            name,
            stop,
            ends_with_input: false,
            task: Some(tokio::spawn(work)),
        }
    }

    /// The stage ends well when the one before it has ended.
    pub(super) fn that_ends_with_its_input(mut self) -> Self {
        self.ends_with_input = true;
        self
    }

    /// Ends when the task does, which is early: nobody told it to. Safe to
    /// drop and to ask again.
    pub(super) async fn ends_early(&mut self) -> anyhow::Error {
        let Some(task) = &mut self.task else {
            return std::future::pending().await;
        };
        let ended = task.await;
        self.task = None;
        match ended {
            Ok(Ok(())) if self.ends_with_input => std::future::pending().await,
            Ok(Ok(())) => anyhow!("{} ended without being told to", self.name),
            Ok(Err(error)) => error.context(format!("{} failed", self.name)),
            Err(error) => anyhow!("{} panicked: {error}", self.name),
        }
    }

    /// Tells the task to stop and gives it some time to drain.
    pub(super) async fn stop(self, within: Duration) -> anyhow::Result<()> {
        self.stop.cancel();
        let Some(task) = self.task else { return Ok(()) };
        let abort = task.abort_handle();
        match tokio::time::timeout(within, task).await {
            Ok(Ok(ended)) => ended.with_context(|| format!("{} failed while stopping", self.name)),
            Ok(Err(error)) => bail!("{} panicked: {error}", self.name),
            Err(_) => {
                abort.abort();
                bail!("{} did not drain within {} s", self.name, within.as_secs())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(outcome: anyhow::Result<()>) -> Stage {
        Stage::spawn("work", CancellationToken::new(), async { outcome })
    }

    #[tokio::test]
    async fn an_early_end_is_told_once_and_the_stop_after_it_is_clean() {
        let mut stage = ended(Err(anyhow!("the hub is not there")));
        let error = stage.ends_early().await;
        assert_eq!(format!("{error:#}"), "work failed: the hub is not there");
        let again = tokio::time::timeout(Duration::from_millis(1), stage.ends_early()).await;
        assert!(again.is_err(), "it has been told");
        stage.stop(Duration::from_secs(1)).await.unwrap();
        let starved = ended(Ok(())).that_ends_with_its_input();
        let early = async { { starved }.ends_early().await };
        assert!(
            tokio::time::timeout(Duration::from_millis(1), early)
                .await
                .is_err()
        );
        let error = ended(Ok(())).ends_early().await;
        assert_eq!(error.to_string(), "work ended without being told to");
        let mut stage = Stage::spawn("work", CancellationToken::new(), async { panic!("oh") });
        assert!(
            stage
                .ends_early()
                .await
                .to_string()
                .starts_with("work panicked")
        );
    }

    #[tokio::test]
    async fn a_task_that_does_not_drain_is_ended_at_the_bound() {
        let stage = Stage::spawn("work", CancellationToken::new(), std::future::pending());
        let error = stage.stop(Duration::ZERO).await.unwrap_err();
        assert_eq!(error.to_string(), "work did not drain within 0 s");
        let stop = CancellationToken::new();
        let drains = stop.clone();
        let stage = Stage::spawn("work", stop, async move {
            drains.cancelled().await;
            Ok(())
        });
        stage.stop(Duration::from_secs(5)).await.unwrap();
    }
}
