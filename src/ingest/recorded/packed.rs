//! Compressed files: gzip and zstd, told by their first bytes.
//!
//! Invariant: data that end too early end the file, not the reading: all that
//! came before is there. So a segment that the daemon is just writing, or a
//! download that broke off, can be read. Data that are wrong are an error.

use std::io::{self, BufRead, Read};

use flate2::bufread::MultiGzDecoder;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packing {
    Gzip,
    Zstd,
}

impl Packing {
    /// By the first bytes of the file (RFC 1952, RFC 8878).
    pub(super) fn of(head: &[u8]) -> Option<Self> {
        if head.starts_with(b"\x1f\x8b") {
            Some(Self::Gzip)
        } else if head.starts_with(b"\x28\xb5\x2f\xfd") {
            Some(Self::Zstd)
        } else {
            None
        }
    }
}

/// What a file holds, unpacked where it is compressed, for whoever reads it by
/// pieces.
///
/// # Errors
/// When its first bytes cannot be read.
pub fn unpacked(mut reader: impl BufRead + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    Ok(match Packing::of(reader.fill_buf()?) {
        Some(packing) => Box::new(Unpacked::new(packing, reader)?),
        None => Box::new(reader),
    })
}

/// What a compressed file holds, to its end or to where it was cut.
pub(super) struct Unpacked<R> {
    plain: Plain<R>,
    cut: bool,
}

enum Plain<R> {
    Gzip(MultiGzDecoder<R>),
    Zstd(zstd::Decoder<'static, R>),
}

impl<R: BufRead> Unpacked<R> {
    /// Several members of gzip or frames of zstd in a row are read as one. The
    /// zstd library refuses windows beyond 128 MiB by itself.
    pub(super) fn new(packing: Packing, reader: R) -> io::Result<Self> {
        let plain = match packing {
            Packing::Gzip => Plain::Gzip(MultiGzDecoder::new(reader)),
            Packing::Zstd => Plain::Zstd(zstd::Decoder::with_buffer(reader)?),
        };
        Ok(Self { plain, cut: false })
    }

    /// Whether the compressed data ended too early.
    pub(super) fn was_cut(&self) -> bool {
        self.cut
    }
}

impl<R: BufRead> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cut {
            return Ok(0);
        }
        let (packing, read) = match &mut self.plain {
            Plain::Gzip(gzip) => (Packing::Gzip, gzip.read(buffer)),
            Plain::Zstd(zstd) => (Packing::Zstd, zstd.read(buffer)),
        };
        read.or_else(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                self.cut = true;
                Ok(0)
            }
            io::ErrorKind::Interrupted => Err(error),
            kind => Err(io::Error::new(
                kind,
                format!("damaged {packing:?} data: {error}"),
            )),
        })
    }
}
