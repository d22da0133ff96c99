//! Decoders of compressed streams, each with a bound on the memory that a stream may ask for.

use std::io::{self, BufRead, Read};

use seal::Format;

/// What `xz -9` asks of a reader is 65 MiB; presets do not go higher.
const XZ_MEMORY: u64 = 128 << 20;
/// Window of 2^27 bytes: what `zstd -d` accepts unasked (RFC 8878 §3.1.1.1.2 leaves the bound to the decoder).
pub(crate) const ZSTD_WINDOW_LOG: u32 = 27;

/// A decoder of every member of `input`, one after the other; what is packed otherwise comes out as they are.
pub(crate) fn decoder<'a, R: BufRead + 'a>(input: R, format: Format) -> io::Result<Box<dyn Read + 'a>> {
    Ok(match format {
        Format::Tar | Format::Zip | Format::SevenZip => Box::new(input),
        Format::TarGz => Box::new(flate2::bufread::MultiGzDecoder::new(input)),
        Format::TarXz => {
            let stream =
                liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)
                    .map_err(io::Error::from)?;
            Box::new(liblzma::bufread::XzDecoder::new_stream(input, stream))
        }
        Format::TarZst => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(decoder)
        }
    })
}
