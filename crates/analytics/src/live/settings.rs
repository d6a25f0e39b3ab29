//! The settings of `curfew-analytics run`.
use clap::Args;
use curfew_core::duration::Duration;
use std::{net::SocketAddr, path::PathBuf};

/// Measure every AuthorizationSystem until SIGTERM or Ctrl-C.
///
/// KUBECONFIG, or the service account of the Pod, says which cluster. For each AuthorizationSystem it reads who may do what, takes who did what from
/// the sources in `spec.analytics.usage`, and writes the Permission Creep Index to `status.pci`, hourly and when roles or bindings change. It
/// grants and revokes nothing. One process owns a store; deploy/analytics/ runs it.
#[derive(Args, Clone, Debug)]
#[command(after_help = "\
Over HTTPS (--serve):
  POST /audit/SYSTEM   audit events of the API server (--audit-webhook-config-file), with the token in the file SYSTEM of --tokens
  GET  /v1/systems...  questions, as kubectl curfew pci asks them; a SubjectAccessReview says who may ask

An event is answered with 200 once it is on the disk. What comes twice counts once. docs/howto/analytics.md has the set-up.")]
pub struct Run {
    /// Where /healthz, /readyz and /metrics are served, without TLS.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// Where audit events are taken and questions are answered, by TLS.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8443")]
    pub serve: SocketAddr,
    /// The directory with tls.crt and tls.key, as a Secret of the type kubernetes.io/tls has them. They are read again when they change. While they
    /// are missing nothing is served by TLS, and scores are computed all the same.
    #[arg(long, value_name = "DIRECTORY")]
    pub tls: Option<PathBuf>,
    /// The directory with the tokens of API servers: each in a file with the name of its AuthorizationSystem, at least 32 characters.
    #[arg(long, value_name = "DIRECTORY")]
    pub tokens: Option<PathBuf>,
    /// The file of the usage store. It is made if it is missing, in a directory that exists.
    #[arg(long, value_name = "FILE", default_value = "/var/lib/curfew-analytics/usage.redb")]
    pub store: PathBuf,
    /// The directory below which `auditLogs` and `cloudTrail` of a system name directories.
    #[arg(long, value_name = "DIRECTORY")]
    pub logs: Option<PathBuf>,
    /// How often each system is analysed.
    #[arg(long, value_name = "DURATION", default_value = "1h")]
    pub every: Duration,
    /// How long changes of roles and bindings are collected before the system is analysed again.
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub settle: Duration,
    /// How often log directories are read on.
    #[arg(long, value_name = "DURATION", default_value = "1m")]
    pub read_logs: Duration,
}
