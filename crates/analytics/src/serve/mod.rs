//! Queries about the details of a system, over HTTPS.
