//! A program that ends with the test that started it.

use std::process::Child;

/// Killed when it is dropped.
pub(super) struct Held(pub(super) Child);

impl Drop for Held {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
