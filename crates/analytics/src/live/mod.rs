//! The process in a cluster: collectors, store, status.
