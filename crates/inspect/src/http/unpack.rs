//! Bodies that were packed for the way: gzip, deflate, br, zstd, piece by piece as they came.

use std::io::Write as _;

use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use ruzstd::decoding::FrameDecoder;

use super::Head;

/// Limit: bytes of one body once it is unpacked; a few packed bytes can hold gigabytes.
pub const UNPACKED_BYTES_MAX: usize = 64 << 20;
/// Limit: packings around one body.
const LAYERS_MAX: usize = 4;
/// Limit: the window of zstd, as browsers have it or more.
const ZSTD_WINDOW_MAX: u64 = 32 << 20;
/// The longest head that a frame of zstd has.
const ZSTD_HEAD_MAX: usize = 18;
/// Room for what is unpacked at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// Unpacks a body as its head says.
pub struct Unpacker {
    /// The outermost first.
    layers: Vec<Layer>,
    total: usize,
    broken: Option<String>,
}

enum Layer {
    Gzip(MultiGzDecoder<Vec<u8>>),
    /// `deflate` is zlib by its standard, and bare in what some servers send: the first byte tells.
    Deflate(Option<Deflate>),
    Brotli(Box<brotli_decompressor::DecompressorWriter<Vec<u8>>>),
    Zstd(Box<FrameDecoder>, Vec<u8>),
}

enum Deflate {
    Zlib(ZlibDecoder<Vec<u8>>),
    Bare(DeflateDecoder<Vec<u8>>),
}

impl std::fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Unpacker").field("layers", &self.layers.len()).finish_non_exhaustive()
    }
}

impl Unpacker {
    /// For the body behind this head; nothing when it is not packed, or in a way that is not known
    /// here.
    #[must_use]
    pub fn of(head: &Head) -> Option<Self> {
        let mut layers = Vec::new();
        let said =
            head.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("content-encoding"));
        for word in said.flat_map(|(_, value)| value.split(',')) {
            match word.trim().to_ascii_lowercase().as_str() {
                "" | "identity" => {}
                "gzip" | "x-gzip" => layers.push(Layer::Gzip(MultiGzDecoder::new(Vec::new()))),
                "deflate" => layers.push(Layer::Deflate(None)),
                "br" => layers.push(Layer::Brotli(Box::new(
                    brotli_decompressor::DecompressorWriter::new(Vec::new(), BUFFER_BYTES),
                ))),
                "zstd" => layers.push(Layer::Zstd(Box::new(zstd()), Vec::new())),
                _ => return None,
            }
        }
        // What was applied last is taken off first.
        layers.reverse();
        let fits = (1..=LAYERS_MAX).contains(&layers.len());
        fits.then_some(Self { layers, total: 0, broken: None })
    }

    /// Takes a piece and gives what it holds, as far as that can be told.
    pub fn push(&mut self, piece: &[u8]) -> Vec<u8> {
        let mut bytes = piece.to_vec();
        for layer in &mut self.layers {
            if self.broken.is_some() {
                return Vec::new();
            }
            let room = UNPACKED_BYTES_MAX.saturating_sub(self.total);
            match layer.push(&bytes, room) {
                Ok(unpacked) => bytes = unpacked,
                Err((unpacked, why)) => {
                    bytes = unpacked;
                    self.broken = Some(why);
                }
            }
        }
        self.total = self.total.saturating_add(bytes.len());
        bytes
    }

    /// Why it could not be unpacked to its end.
    #[must_use]
    pub fn broken(&self) -> Option<&str> {
        self.broken.as_deref()
    }
}

/// What came out before it broke, and why it broke.
type Broke = (Vec<u8>, String);

impl Layer {
    fn push(&mut self, piece: &[u8], room: usize) -> Result<Vec<u8>, Broke> {
        match self {
            Self::Gzip(inner) => {
                let done = feed(piece, |part| inner.write_all(part).and_then(|()| inner.flush()));
                taken(std::mem::take(inner.get_mut()), done, room, "gzip")
            }
            Self::Deflate(inner) => deflate(inner, piece, room),
            Self::Brotli(inner) => {
                let done = feed(piece, |part| inner.write_all(part).and_then(|()| inner.flush()));
                taken(std::mem::take(inner.get_mut()), done, room, "br")
            }
            Self::Zstd(decoder, held) => {
                held.extend_from_slice(piece);
                let (out, done) = unpack_zstd(decoder, held, room);
                taken(out, done, room, "zstd")
            }
        }
    }
}

fn deflate(inner: &mut Option<Deflate>, piece: &[u8], room: usize) -> Result<Vec<u8>, Broke> {
    let Some(first) = piece.first() else { return Ok(Vec::new()) };
    // Zlib begins with its method, 8, and a window of 32 KiB at most.
    let is_zlib = first & 0x0f == 8 && first >> 4 <= 7;
    let kind = inner.get_or_insert_with(|| {
        if is_zlib {
            Deflate::Zlib(ZlibDecoder::new(Vec::new()))
        } else {
            Deflate::Bare(DeflateDecoder::new(Vec::new()))
        }
    });
    let (out, done) = match kind {
        Deflate::Zlib(inner) => {
            let done = feed(piece, |part| inner.write_all(part).and_then(|()| inner.flush()));
            (std::mem::take(inner.get_mut()), done)
        }
        Deflate::Bare(inner) => {
            let done = feed(piece, |part| inner.write_all(part).and_then(|()| inner.flush()));
            (std::mem::take(inner.get_mut()), done)
        }
    };
    taken(out, done, room, "deflate")
}

/// Gives small parts to `take`, so that a bomb is noticed before it fills memory.
fn feed(piece: &[u8], mut take: impl FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
    piece.chunks(16 * 1024).try_for_each(&mut take)
}

fn taken(
    mut out: Vec<u8>,
    done: std::io::Result<()>,
    room: usize,
    name: &str,
) -> Result<Vec<u8>, Broke> {
    if out.len() > room {
        out.truncate(room);
        return Err((out, format!("it is more than {UNPACKED_BYTES_MAX} bytes once unpacked")));
    }
    match done {
        Ok(()) => Ok(out),
        Err(cause) => Err((out, format!("it is no {name}: {cause}"))),
    }
}

fn zstd() -> FrameDecoder {
    let mut decoder = FrameDecoder::new();
    decoder.set_max_window_size(ZSTD_WINDOW_MAX);
    decoder
}

fn unpack_zstd(
    decoder: &mut FrameDecoder,
    held: &mut Vec<u8>,
    room: usize,
) -> (Vec<u8>, std::io::Result<()>) {
    let (mut out, mut buffer) = (Vec::new(), vec![0; BUFFER_BYTES]);
    loop {
        match decoder.decode_from_to(held, &mut buffer) {
            Ok((read, written)) => {
                held.drain(..read.min(held.len()));
                out.extend_from_slice(buffer.get(..written).unwrap_or_default());
                let is_over = decoder.is_finished() && decoder.can_collect() == 0;
                if is_over && !held.is_empty() {
                    // Frames may follow one another.
                    *decoder = zstd();
                    continue;
                }
                if (read == 0 && written == 0) || is_over || out.len() > room {
                    return (out, Ok(()));
                }
            }
            // Half a head is no fault yet.
            Err(_) if held.len() < ZSTD_HEAD_MAX && out.is_empty() => return (out, Ok(())),
            Err(cause) => return (out, Err(std::io::Error::other(cause.to_string()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::{UNPACKED_BYTES_MAX, Unpacker};
    use crate::http::{Head, Side};

    fn unpacker(coding: &str) -> Option<Unpacker> {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\n\r\n");
        Unpacker::of(&Head::read(head.as_bytes(), Side::Answer).unwrap().unwrap())
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(bytes).unwrap();
        packer.finish().unwrap()
    }

    #[track_caller]
    fn check(coding: &str, packed: &[u8], text: &[u8]) {
        for cut in [1, 7, packed.len()] {
            let mut unpacker = unpacker(coding).unwrap();
            let out: Vec<u8> = packed.chunks(cut).flat_map(|piece| unpacker.push(piece)).collect();
            assert_eq!(unpacker.broken(), None, "{coding} in pieces of {cut}");
            assert_eq!(out, text, "{coding} in pieces of {cut}");
        }
    }

    #[test]
    fn every_packing_is_taken_off_however_it_is_cut() {
        let text = b"data: {\"text\":\"hello hello hello\"}\n\n".repeat(9);
        check("gzip", &gzip(&text), &text);
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        zlib.write_all(&text).unwrap();
        check("deflate", &zlib.finish().unwrap(), &text);
        let mut bare = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        bare.write_all(&text).unwrap();
        check("deflate", &bare.finish().unwrap(), &text);
        // As Node's zlib packs it.
        let brotli = b"\x1b\x62\x00\xf8\x1d\x89\x71\x2c\xca\xba\xb4\x47\xbc\x14\x23\x93\x4b\x05\
                       \x1d\xba\x4c\x63\x7b\x6b\x41\x16\xf9\x26\x1e\xdd\x80\x05\x30\xb0\x03\xed\
                       \xe7\xfa\x43\x4b\x01";
        check("br", brotli, &b"data: hello brotli hello brotli\n\n".repeat(3));
        let mut level = ruzstd::encoding::compress_to_vec(
            text.as_slice(),
            ruzstd::encoding::CompressionLevel::Fastest,
        );
        check("zstd", &level, &text);
        level.extend_from_slice(&ruzstd::encoding::compress_to_vec(
            text.as_slice(),
            ruzstd::encoding::CompressionLevel::Uncompressed,
        ));
        check("zstd", &level, &text.repeat(2));
        check(
            "gzip, zstd",
            &{
                let inner = gzip(&text);
                ruzstd::encoding::compress_to_vec(
                    inner.as_slice(),
                    ruzstd::encoding::CompressionLevel::Fastest,
                )
            },
            &text,
        );
    }

    #[test]
    fn what_is_broken_or_too_much_gives_what_there_was() {
        let packed = gzip(&vec![b'x'; UNPACKED_BYTES_MAX + 100]);
        let mut bomb = unpacker("gzip").unwrap();
        let out = bomb.push(&packed).len();
        assert!(out <= UNPACKED_BYTES_MAX, "{out}");
        assert!(bomb.broken().unwrap().contains("once unpacked"));
        let mut none = unpacker("gzip").unwrap();
        none.push(b"this is no gzip at all");
        assert!(none.broken().unwrap().starts_with("it is no gzip"));
        let mut none = unpacker("br").unwrap();
        none.push(&[0xff; 64]);
        assert!(none.broken().unwrap().starts_with("it is no br"));
        let mut none = unpacker("zstd").unwrap();
        none.push(&[0xff; 64]);
        assert!(none.broken().unwrap().starts_with("it is no zstd"));
        assert!(unpacker("identity").is_none() && unpacker("rot13").is_none());
    }
}
