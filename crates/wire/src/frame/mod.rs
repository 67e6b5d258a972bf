//! Framing: where one message ends and the next begins, however the bytes are cut.
