//! SM3 by the kernel: a socket of the family `AF_ALG` (Linux, `Documentation/crypto/userspace-if.rst`). It is there when the
//! kernel has `CRYPTO_USER_API_HASH` and `CRYPTO_SM3`.

use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, AlgAddr, MsgFlags, SockFlag, SockType, accept4, bind, send, socket};

use crate::{DeviceError, Sm3Stream};

/// The kernel takes sixteen pages at most at once.
const PIECE: usize = 32 * 1024;
/// The message goes on. `nix` does not name the flag.
const MORE: MsgFlags = MsgFlags::from_bits_retain(nix::libc::MSG_MORE);

fn failed(action: &'static str) -> impl Fn(Errno) -> DeviceError {
    move |errno| DeviceError::Kernel { action, source: io::Error::from(errno) }
}

/// A socket that is bound to the algorithm.
pub(crate) struct Kernel(OwnedFd);

impl Kernel {
    pub(crate) fn open() -> Result<Self, DeviceError> {
        let fd = socket(AddressFamily::Alg, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)
            .map_err(failed("offer its crypto to programs (AF_ALG)"))?;
        bind(fd.as_raw_fd(), &AlgAddr::new("hash", "sm3")).map_err(failed("have SM3 (AF_ALG)"))?;
        Ok(Self(fd))
    }

    pub(crate) fn sm3(&self) -> Result<KernelStream, DeviceError> {
        let raw = accept4(self.0.as_raw_fd(), SockFlag::SOCK_CLOEXEC).map_err(failed("begin a message"))?;
        // SAFETY: `accept4` has just given this descriptor to us, and to nobody else.
        #[expect(unsafe_code, reason = "the descriptor of `accept4` comes without an owner")]
        let stream = unsafe { OwnedFd::from_raw_fd(raw) };
        Ok(KernelStream(stream))
    }
}

/// One message.
pub(crate) struct KernelStream(OwnedFd);

impl KernelStream {
    fn send(&self, mut bytes: &[u8], flags: MsgFlags) -> Result<(), DeviceError> {
        loop {
            match send(self.0.as_raw_fd(), bytes, flags) {
                Ok(count) if count >= bytes.len() => return Ok(()),
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(failed("take the message")(errno)),
            }
        }
    }
}

impl Sm3Stream for KernelStream {
    fn update(&mut self, bytes: &[u8]) -> Result<(), DeviceError> {
        bytes.chunks(PIECE).try_for_each(|piece| self.send(piece, MORE))
    }

    fn finish(&mut self) -> Result<[u8; 32], DeviceError> {
        self.send(&[], MsgFlags::empty())?;
        let mut digest = [0; 32];
        match nix::unistd::read(&self.0, &mut digest).map_err(failed("give the digest"))? {
            32 => Ok(digest),
            _ => Err(DeviceError::Malformed("a digest of SM3 has 32 bytes")),
        }
    }
}
