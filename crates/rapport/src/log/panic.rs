//! Logs panics with their trace, so that the one connection they end is not the only witness.

use std::backtrace::Backtrace;

/// Sends every panic of the process to the log.
pub(super) fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map_or_else(String::new, ToString::to_string);
        let payload = panic.payload();
        let text = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_default();
        let trace = Backtrace::force_capture();
        tracing::error!(place, %trace, "panic: {text}");
    }));
}
