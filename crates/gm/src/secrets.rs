//! What may be known of a secret. The tests run the operations under valgrind with secret bytes marked as undefined, where a
//! branch or an address that depends on such bytes is an error (the method of ctgrind); what the code means to show, such as
//! whether a number is in range, it says by [`published`]. Outside of the tests that is nothing at all.

/// The value, which may be known from here on although it came of secrets.
#[cfg(not(all(test, target_arch = "x86_64", target_os = "linux")))]
#[inline(always)]
pub(crate) fn published<T>(value: T) -> T {
    value
}

#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
pub(crate) use tests::published;

#[cfg(all(test, target_arch = "x86_64", target_os = "linux"))]
#[expect(unsafe_code, reason = "valgrind is asked by an instruction sequence of its own")]
#[expect(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
mod tests {
    use std::process::Command;

    use crate::sm2::tests::{leaking_subject, private_of};
    use crate::sm4::{Sm4Gcm, portable_cipher, portable_gcm};
    use crate::{HmacSm3, Sm4};

    /// Memcheck's requests (memcheck.h): the tool's name in the upper half, and its second and third.
    const MAKE_MEM_UNDEFINED: u64 = 0x4d43_0001;
    const MAKE_MEM_DEFINED: u64 = 0x4d43_0002;
    /// Asks who runs us (valgrind.h).
    const RUNNING_ON_VALGRIND: u64 = 0x1001;

    /// A client request (valgrind.h, "amd64-linux"): rotations that come to nothing, which only valgrind takes for a call.
    fn request(code: u64, at: u64, length: u64) -> u64 {
        let arguments = [code, at, length, 0, 0, 0];
        let mut answer = 0u64;
        // SAFETY: on a processor rdi comes back as it was and rbx is exchanged with itself; valgrind reads the six words behind
        // rax, notes what is known of the bytes they name, and writes rdx.
        unsafe {
            core::arch::asm!(
                "rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51", "xchg rbx, rbx",
                in("rax") arguments.as_ptr(), inout("rdx") answer,
            );
        }
        answer
    }

    fn mark<T: ?Sized>(value: &mut T, code: u64) {
        request(code, core::ptr::from_mut(value).cast::<u8>() as u64, size_of_val(value) as u64);
    }

    pub(crate) fn published<T>(mut value: T) -> T {
        mark(&mut value, MAKE_MEM_DEFINED);
        value
    }

    fn secret<const LEN: usize>(byte: u8) -> [u8; LEN] {
        let mut bytes = [byte; LEN];
        mark(&mut bytes, MAKE_MEM_UNDEFINED);
        bytes
    }

    /// Everything that touches a secret, for valgrind to watch.
    fn operations() {
        let key = private_of(&secret(0x42));
        let signature = key.sign_digest(&[7; 32], &secret(1));
        assert!(key.public_key().verify_digest(&[7; 32], &signature).is_ok());
        let mut sealed = key.public_key().encrypt(&secret::<40>(3), &secret(2)).unwrap();
        mark(sealed.as_mut_slice(), MAKE_MEM_DEFINED);
        let mut opened = key.decrypt(&sealed).unwrap();
        mark(opened.as_mut_slice(), MAKE_MEM_DEFINED);
        assert_eq!(opened.as_slice(), [3; 40]);

        for cipher in [portable_cipher(&secret(4)), Sm4::new(&secret(4))] {
            let mut text = secret::<3000>(5);
            cipher.apply_ctr(&[6; 16], &mut text);
            let mut block = secret(7);
            cipher.decrypt_block(&mut block);
            let sealed = cipher.cbc_encrypt(&[8; 16], &secret::<40>(0x29));
            let mut opened = cipher.cbc_decrypt(&[8; 16], &sealed).unwrap();
            mark(opened.as_mut_slice(), MAKE_MEM_DEFINED);
            assert_eq!(opened.as_slice(), [0x29; 40]);
            assert!(cipher.cbc_decrypt(&[8; 16], &sealed[..32]).is_err());
        }
        for cipher in [portable_gcm(&secret(4)), Sm4Gcm::new(&secret(4))] {
            for length in [40, 3000] {
                let mut text = secret::<3000>(5);
                let mut tag = cipher.encrypt_in_place(&[1; 12], b"about", &mut text[..length]).unwrap();
                mark(&mut tag, MAKE_MEM_DEFINED);
                cipher.decrypt_in_place(&[1; 12], b"about", &mut text[..length], &tag).unwrap();
            }
        }
        let mut mac = HmacSm3::new(&secret::<32>(4));
        mac.update(&secret::<100>(5));
        core::hint::black_box(mac.finalize());
    }

    /// The variable by which a run learns what it is to do under valgrind.
    const TASK: &str = "CUSTODY_GM_WATCHED";

    /// Does its work in the run that the next test starts, and nothing else.
    #[test]
    fn watched() {
        match std::env::var(TASK).as_deref() {
            Ok("operations") => operations(),
            Ok("a planted leak") => leaking_subject()(&secret(5)),
            _ => return,
        }
        assert_eq!(request(RUNNING_ON_VALGRIND, 0, 0), 1, "nobody watches");
    }

    #[test]
    fn no_branch_and_no_address_depends_on_a_secret() {
        let watch = |task: &str| {
            let mut command = Command::new("valgrind");
            command.args(["--quiet", "--error-exitcode=9"]).arg(std::env::current_exe().unwrap());
            command.args(["--exact", "secrets::tests::watched", "--test-threads=1"]).env(TASK, task).output()
        };
        let Ok(leak) = watch("a planted leak") else {
            eprintln!("SKIPPED no_branch_and_no_address_depends_on_a_secret: `valgrind` is not installed");
            return;
        };
        let said = |output: &std::process::Output| String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(leak.status.code(), Some(9), "the planted leak was not seen: {}", said(&leak));
        assert!(said(&leak).contains("depends on uninitialised value"), "{}", said(&leak));
        let found = watch("operations").unwrap();
        assert_eq!(
            found.status.code(),
            Some(0),
            "{}{}",
            String::from_utf8_lossy(&found.stdout),
            said(&found)
        );
    }
}
