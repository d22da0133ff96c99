//! Who computes does not matter to what comes out, and a device that errs is not believed.
#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

use std::path::PathBuf;
use std::process::Command;

use gmdevice::sdf::SdfSigner;
use gmdevice::{Device, DeviceError, Provider};
use signing::{Signer as _, Verifier as _};

/// The library that cargo builds beside this test.
fn library() -> PathBuf {
    let name = format!("{}sdf_library{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let folder = std::env::current_exe().unwrap();
    let library = folder.parent().unwrap().join("../examples").join(name);
    assert!(library.exists(), "{} was not built", library.display());
    library
}

fn digest(device: &Device, pieces: &[&[u8]]) -> Result<[u8; 32], DeviceError> {
    let mut stream = device.sm3()?;
    pieces.iter().try_for_each(|piece| stream.update(piece))?;
    stream.finish()
}

#[test]
fn every_provider_gives_the_same_digests() {
    let mut providers = vec![Provider::Cpu, Provider::Sdf(library())];
    match Device::open(&Provider::Kernel) {
        Ok(_) => providers.push(Provider::Kernel),
        Err(error) => eprintln!("SKIPPED: the kernel: {error}"),
    }
    let large = vec![0x61; 3 << 20];
    for provider in providers {
        let device = Device::open(&provider).unwrap();
        assert_eq!(*device.provider(), provider);
        let messages: [&[&[u8]]; 4] = [&[], &[b"abc"], &[b"a", b"", b"bc"], &[&large, &large[..77]]];
        for pieces in messages {
            assert_eq!(digest(&device, pieces).unwrap(), gm::Sm3::digest(&pieces.concat()), "{provider}");
        }
        // Two messages at the same time do not mix.
        let (mut one, mut two) = (device.sm3().unwrap(), device.sm3().unwrap());
        one.update(b"one").unwrap();
        two.update(b"two").unwrap();
        assert_eq!(one.finish().unwrap(), gm::Sm3::digest(b"one"), "{provider}");
        assert_eq!(two.finish().unwrap(), gm::Sm3::digest(b"two"), "{provider}");
    }
}

#[test]
fn what_is_no_library_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let nothing = folder.path().join("nothing.so");
    assert!(matches!(Device::open(&Provider::Sdf(nothing.clone())), Err(DeviceError::Library { .. })));
    std::fs::write(&nothing, "no library").unwrap();
    assert!(matches!(Device::open(&Provider::Sdf(nothing)), Err(DeviceError::Library { .. })));
}

#[test]
fn keys_stay_in_the_device_and_sign() {
    let signer = SdfSigner::open(&library(), 1, Some(b"12345678")).unwrap();
    let signature = signer.sign(b"message").unwrap();
    signer.verifier().verify(b"message", &signature).unwrap();
    assert!(signer.verifier().verify(b"another", &signature).is_err());
    assert_eq!(signer.public_key_der(), signer.verifier().to_spki_der());
    assert!(SdfSigner::open(&library(), 1, Some(b"wrong")).is_err());
    assert!(SdfSigner::open(&library(), 2, None).is_err());
    // Without its password, the key is there and does not sign.
    assert!(SdfSigner::open(&library(), 1, None).unwrap().sign(b"message").is_err());
}

/// Faults are switched by an environment variable, which a process has for all its threads: so each has a process.
const FAULT: &str = "SDF_TEST_FAULT";

#[test]
fn a_device_that_errs_is_not_believed() {
    let Ok(fault) = std::env::var(FAULT) else {
        for fault in ["open", "digest", "update", "signature"] {
            let this = Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "a_device_that_errs_is_not_believed"])
                .env(FAULT, fault)
                .output()
                .unwrap();
            assert!(this.status.success(), "{fault}: {}", String::from_utf8_lossy(&this.stdout));
        }
        return;
    };
    let opened = Device::open(&Provider::Sdf(library()));
    match fault.as_str() {
        "open" => assert!(matches!(opened, Err(DeviceError::Sdf { code: 0x0100_0004, .. }))),
        "digest" => assert!(matches!(opened, Err(DeviceError::WrongAnswer { .. }))),
        "update" => assert!(digest(&opened.unwrap(), &[b"longer"]).is_err()),
        _ => {
            let signer = SdfSigner::open(&library(), 1, Some(b"12345678")).unwrap();
            let error = signer.sign(b"message").unwrap_err().to_string();
            assert!(error.contains("does not verify"), "{error}");
        }
    }
}
