//! Log-ins against an authorization server of our own.
