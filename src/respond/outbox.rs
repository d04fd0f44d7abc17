//! scaffold
#![allow(missing_docs, clippy::unwrap_used, reason = "scaffold")]
use std::sync::Arc; use std::sync::atomic::{AtomicBool, Ordering}; use tokio::sync::Notify; use tokio_util::sync::CancellationToken;
use crate::{model::{Admission,UserRef,ActionKind,ActionState}, store::{Store,Settlement}, telemetry::Metrics};
use super::graph::*; use super::lanes::Lane; use jiff::Timestamp;
pub struct Responder { pub store: Store, pub graph: GraphClient, pub guard: Arc<dyn Fn(&UserRef)->Admission+Send+Sync>, pub metrics: Arc<Metrics>, pub paused: Arc<AtomicBool> }
impl Responder { pub async fn run(self, c: CancellationToken, w: Arc<Notify>) {
  let lw = Lane::directory_writes(); let lp = Lane::identity_protection();
  loop { if c.is_cancelled() { return; }
    let mut any = false;
    if !self.paused.load(Ordering::Relaxed) {
    lw.ready().await;
    for a in self.store.claim(&[ActionKind::RevokeSessions], 1, Timestamp::now()).await.unwrap() { any = true; lw.take().await;
      let o = self.graph.revoke_sessions(&a.user.id, Tag { request_id: *a.id.as_uuid(), priority: Priority::Normal }).await;
      self.store.settle(vec![Settlement { id: a.id, state: if matches!(o.end(0, 0.5), End::Done) { ActionState::Acknowledged } else { ActionState::Failed }, not_before: None, outcome: o.to_string(), sent: true }], Timestamp::now()).await.unwrap(); }
    let b = self.store.claim(&[ActionKind::ConfirmCompromised], 60, Timestamp::now()).await.unwrap();
    if !b.is_empty() { any = true; lp.take().await; let ids: Vec<_> = b.iter().map(|a| a.user.id.clone()).collect();
      let o = self.graph.confirm_compromised(&ids, Tag { request_id: *b[0].id.as_uuid(), priority: Priority::Normal }).await;
      self.store.settle(b.iter().map(|a| Settlement { id: a.id, state: if matches!(o.end(0, 0.5), End::Done) { ActionState::Acknowledged } else { ActionState::Failed }, not_before: None, outcome: o.to_string(), sent: true }).collect(), Timestamp::now()).await.unwrap(); } }
    if !any { tokio::select! { () = w.notified() => {}, () = c.cancelled() => return, () = tokio::time::sleep(std::time::Duration::from_secs(1)) => {} } }
  } } }
