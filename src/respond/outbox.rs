//! The responder's loop (to come).
