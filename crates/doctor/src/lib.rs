//! Placeholder sentence.
