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
    let Some(packing) = Packing::of(reader.fill_buf()?) else {
        return Ok(Box::new(reader));
    };
    let plain: Box<dyn Read + Send> = match packing {
        Packing::Gzip => Box::new(MultiGzDecoder::new(reader)),
        Packing::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(reader)?),
    };
    Ok(Box::new(Unpacked {
        plain,
        packing,
        cut: false,
    }))
}

/// What a compressed file holds, to its end or to where it was cut.
pub(super) struct Unpacked<D> {
    plain: D,
    packing: Packing,
    cut: bool,
}

impl<'a> Unpacked<Box<dyn Read + 'a>> {
    /// Several members of gzip or frames of zstd in a row are read as one. The
    /// zstd library refuses windows beyond 128 MiB by itself.
    pub(super) fn new(packing: Packing, reader: impl BufRead + 'a) -> io::Result<Self> {
        let plain: Box<dyn Read + 'a> = match packing {
            Packing::Gzip => Box::new(MultiGzDecoder::new(reader)),
            Packing::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(reader)?),
        };
        Ok(Self {
            plain,
            packing,
            cut: false,
        })
    }

    /// Whether the compressed data ended too early.
    pub(super) fn was_cut(&self) -> bool {
        self.cut
    }
}

impl<D: Read> Read for Unpacked<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cut {
            return Ok(0);
        }
        self.plain.read(buffer).or_else(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                self.cut = true;
                Ok(0)
            }
            io::ErrorKind::Interrupted => Err(error),
            kind => {
                let packing = self.packing;
                Err(io::Error::new(
                    kind,
                    format!("damaged {packing:?} data: {error}"),
                ))
            }
        })
    }
}
