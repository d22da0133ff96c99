//! The standard's own examples (GB/T 32918.5 annexes), and what must hold for any values.

use proptest::prelude::*;

use super::limbs::from_bytes;
use super::point::{Affine, G, Jacobian};
use super::scalar::{N, Scalar};
use super::*;

fn bytes<const LEN: usize>(digits: &str) -> [u8; LEN] {
    let digits: String = digits.split_whitespace().collect();
    hex::decode(digits).unwrap().try_into().unwrap()
}

fn private(digits: &str) -> PrivateKey {
    PrivateKey::from_bytes(&bytes(digits)).unwrap()
}

const KEY: &str = "3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8";
const NONCE: &str = "59276E27D506861A16680F3AD9C02DCCEF3CC1FA3CDBE4CE6D54B80DEAC1BC21";

/// GB/T 32918.5 annex B: the public key, Z, e and the signature.
#[test]
fn the_standards_signature() {
    let key = private(KEY);
    let public = key.public_key();
    assert_eq!(
        public.to_sec1(),
        bytes::<65>(
            "04 09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020
                CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13"
        )
    );
    assert_eq!(
        public.z(DEFAULT_ID).unwrap(),
        bytes("B2E14C5C79C6DF5B85F4FE7ED8DB7A262B9DA7E07CCB0EA9F4747B8CCDA8A4F3")
    );
    let mut hasher = public.hasher(DEFAULT_ID).unwrap();
    hasher.update(b"message digest");
    let e = hasher.finalize();
    assert_eq!(e, bytes("F0B43E94BA45ACCAACE692ED534382EB17E6AB5A19CE7B31F4486FDFC0D28640"));
    let k = Scalar::from_bytes(&bytes(NONCE)).unwrap();
    let signature = key.sign_with(&Scalar::reduced(&from_bytes(&e)), &k).unwrap();
    assert_eq!(
        signature.to_bytes(),
        bytes(
            "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3
             B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA"
        )
    );
    public.verify(DEFAULT_ID, b"message digest", &signature).unwrap();
    assert_eq!(public.verify(DEFAULT_ID, b"message", &signature), Err(Sm2Error::BadSignature));
    assert_eq!(public.verify(b"ALICE", b"message digest", &signature), Err(Sm2Error::BadSignature));
}

/// GB/T 32918.5 annex C: decryption of the standard's ciphertext.
#[test]
fn the_standards_ciphertext() {
    let ciphertext = bytes::<116>(
        "04 04EBFC718E8D1798620432268E77FEB6415E2EDE0E073C0F4F640ECD2E149A73
            E858F9D81E5430A57B36DAAB8F950A3C64E6EE6A63094D99283AFF767E124DF0
            59983C18F809E262923C53AEC295D30383B54E39D609D160AFCB1908D0BD8766
            21886CA989CA9C7D58087307CA93092D651EFA",
    );
    let message = private(KEY).decrypt(&ciphertext).unwrap();
    assert_eq!(message.as_slice(), b"encryption standard");
}

/// GB/T 32918.5 annex D: both sides of the key exchange.
#[test]
fn the_standards_key_exchange() {
    let (a, ra) = (
        private("81EB26E941BB5AF16DF116495F90695272AE2CD63D6C4AE1678418BE48230029"),
        private("D4DE15474DB74D06491C440D305E012400990F3E390C7E87153C12DB2EA60BB3"),
    );
    let (b, rb) = (
        private("785129917D45A9EA5437A59356B82338EAADDA6CEB199088F14AE10DEFA229B5"),
        private("7E07124814B309489125EAED101113164EBF0F3458C5BD88335C1F9D596243D6"),
    );
    let side = |role, own: (&PrivateKey, &PrivateKey), peer: (&PrivateKey, &PrivateKey)| {
        let mut key = [0; 16];
        let confirmation = Exchange {
            role,
            own: own.0,
            own_ephemeral: own.1,
            own_id: DEFAULT_ID,
            peer: peer.0.public_key(),
            peer_ephemeral: peer.1.public_key(),
            peer_id: DEFAULT_ID,
        }
        .agree(&mut key)
        .unwrap();
        (key, confirmation.responder, confirmation.initiator)
    };
    let initiator = side(Role::Initiator, (&a, &ra), (&b, &rb));
    assert_eq!(initiator.0, bytes("6C89347354DE2484C60B4AB1FDE4C6E5"));
    assert_eq!(initiator.1, bytes("D3A0FE15DEE185CEAE907A6B595CC32A266ED7B3367E9983A896DC32FA20F8EB"));
    assert_eq!(initiator.2, bytes("18C7894B3816DF16CF07B05C5EC0BEF5D655D58F779CC1B400A4F3884644DB88"));
    assert_eq!(side(Role::Responder, (&b, &rb), (&a, &ra)), initiator);
}

fn affine(point: Jacobian) -> Option<[u8; 65]> {
    point.to_affine().map(|point| PublicKey::of(point).to_sec1())
}

/// `scalar * point` bit by bit, with the addition that handles every case.
fn by_bits(scalar: &Scalar, point: &Affine) -> Jacobian {
    let mut sum = Jacobian::INFINITY;
    for bit in (0..256).rev() {
        sum = sum.double();
        if scalar.limbs()[bit / 64] >> (bit % 64) & 1 == 1 {
            sum = sum.add_vartime(&point.to_jacobian());
        }
    }
    sum
}

/// Scalars at the edges: near zero, near n, near powers of two, and with runs of equal digits.
fn edges() -> Vec<Scalar> {
    let mut all = vec![];
    for i in 0..80u64 {
        let small = Scalar::reduced(&[i, 0, 0, 0]);
        all.extend([small, Scalar::ZERO.sub(&small)]);
    }
    for bit in 0..256 {
        let mut limbs = [0; 4];
        limbs[bit / 64] = 1 << (bit % 64);
        let power = Scalar::reduced(&limbs);
        all.extend([power, power.sub(&Scalar::ONE), power.add(&Scalar::ONE), Scalar::ZERO.sub(&power)]);
    }
    for pattern in [0x5555_5555_5555_5555, 0x8421_0842_1084_2108, 0x8208_2082_0820_8208, u64::MAX] {
        all.push(Scalar::reduced(&[pattern; 4]));
    }
    all
}

#[test]
fn every_way_of_multiplying_agrees_at_the_edges() {
    let other = by_bits(&Scalar::reduced(&[0x1234_5678_9abc_def1; 4]), &G).to_affine().unwrap();
    for scalar in edges() {
        let expected = affine(by_bits(&scalar, &G));
        assert_eq!(affine(base::multiply(&scalar)), expected, "{:x?}", scalar.limbs());
        assert_eq!(affine(multiply::multiply(&scalar, &G)), expected, "{:x?}", scalar.limbs());
        assert_eq!(affine(base::add_multiple_vartime(Jacobian::INFINITY, &scalar)), expected);
        let joint = multiply::joint_vartime(&scalar, &scalar, &other);
        assert_eq!(affine(joint), affine(by_bits(&scalar, &G).add(&by_bits(&scalar, &other))));
        let cancelled = multiply::joint_vartime(&scalar, &Scalar::ZERO.sub(&scalar), &G);
        assert_eq!(affine(cancelled), None);
        assert_eq!(
            affine(multiply::joint_vartime(&scalar, &scalar, &G)),
            affine(by_bits(&scalar, &G).double())
        );
    }
}

#[test]
fn additions_with_infinity_and_with_oneself() {
    let g = G.to_jacobian();
    let twice = g.double();
    let none = Jacobian::INFINITY;
    for add in [Jacobian::add, Jacobian::add_vartime] {
        assert_eq!(affine(add(&none, &none)), None);
        assert_eq!(affine(add(&none, &g)), affine(g));
        assert_eq!(affine(add(&g, &none)), affine(g));
        assert_eq!(affine(add(&g, &g)), affine(twice));
        assert_eq!(affine(add(&g, &g.negated_if(u64::MAX))), None);
        assert_eq!(affine(add(&twice, &g)), affine(g.add_affine(&twice.to_affine().unwrap())));
    }
    assert_eq!(affine(none.double()), None);
    assert_eq!(affine(g.add_affine_vartime(&G)), affine(twice));
    assert_eq!(affine(g.add_affine_vartime(&G.negated_if(u64::MAX))), None);
}

#[test]
fn keys_at_the_edges_of_their_range() {
    let n = limbs::to_bytes(&N);
    let minus = |less: u8| {
        let mut bytes = n;
        bytes[31] -= less;
        PrivateKey::from_bytes(&bytes)
    };
    assert_eq!(PrivateKey::from_bytes(&[0; 32]).err(), Some(Sm2Error::PrivateKeyRange));
    assert_eq!(PrivateKey::from_bytes(&[0xff; 32]).err(), Some(Sm2Error::PrivateKeyRange));
    assert_eq!(minus(0).err(), Some(Sm2Error::PrivateKeyRange));
    assert_eq!(minus(1).err(), Some(Sm2Error::PrivateKeyRange));
    for key in [minus(2).unwrap(), PrivateKey::from_bytes(&Scalar::ONE.to_bytes()).unwrap()] {
        let signature = key.sign(DEFAULT_ID, b"edge", &[0; 32]).unwrap();
        key.public_key().verify(DEFAULT_ID, b"edge", &signature).unwrap();
    }
}

#[test]
fn an_id_has_its_limit() {
    let key = private(KEY);
    assert!(key.public_key().z(&[0; 8191]).is_ok());
    assert_eq!(key.public_key().z(&[0; 8192]), Err(Sm2Error::IdTooLong));
}

/// The secret number depends on the fresh bytes, on the message and on the key, and on nothing else.
#[test]
fn nonces_differ_with_each_input() {
    let key = private(KEY);
    let sign = |message: &[u8], fresh: u8| key.sign(DEFAULT_ID, message, &[fresh; 32]).unwrap().to_bytes();
    assert_eq!(sign(b"one", 1), sign(b"one", 1));
    assert_ne!(sign(b"one", 1), sign(b"one", 2));
    assert_ne!(sign(b"one", 1), sign(b"two", 1));
}

/// Signs with the number that 32 bytes stand for: for the timing test.
pub(crate) fn nonce_leak_subject() -> impl Fn(&[u8; 32]) {
    let key = private(KEY);
    move |nonce| {
        let k = Scalar::reduced(&from_bytes(nonce));
        std::hint::black_box(key.sign_with(&Scalar::ONE, &k));
    }
}

/// The key of these bytes, which are one.
pub(crate) fn private_of(bytes: &[u8; 32]) -> PrivateKey {
    PrivateKey::from_bytes(bytes).unwrap()
}

/// Multiplies as verification does, which may take a public number's time: what the timing test has to find.
pub(crate) fn leaking_subject() -> impl Fn(&[u8; 32]) {
    |nonce| {
        let k = Scalar::reduced(&from_bytes(nonce));
        std::hint::black_box(super::multiply::joint_vartime(&Scalar::ZERO, &k, &super::point::G));
    }
}

fn key() -> impl Strategy<Value = PrivateKey> {
    any::<[u8; 32]>().prop_filter_map("in range", |bytes| PrivateKey::from_bytes(&bytes).ok())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_signed_verifies_and_nothing_else_does(
        key in key(), message in any::<Vec<u8>>(), id in any::<Vec<u8>>(), fresh: [u8; 32], flip in 0usize..512,
    ) {
        let signature = key.sign(&id, &message, &fresh).unwrap();
        prop_assert_eq!(Signature::from_der(&signature.to_der()), Ok(signature));
        prop_assert_eq!(key.public_key().verify(&id, &message, &signature), Ok(()));
        let mut changed = signature.to_bytes();
        changed[flip / 8] ^= 1 << (flip % 8);
        if let Ok(changed) = Signature::from_bytes(&changed) {
            prop_assert_eq!(key.public_key().verify(&id, &message, &changed), Err(Sm2Error::BadSignature));
        }
    }

    #[test]
    fn what_is_encrypted_decrypts_and_a_change_shows(
        key in key(), message in proptest::collection::vec(any::<u8>(), 1..1200), fresh: [u8; 32], flip: usize,
    ) {
        let mut plain = key.public_key().encrypt(&message, &fresh).unwrap();
        prop_assert_eq!(key.decrypt(&plain).unwrap().to_vec(), message.clone());
        let der = key.public_key().encrypt_der(&message, &fresh).unwrap();
        prop_assert_eq!(key.decrypt_der(&der).unwrap().to_vec(), message);
        let flip = flip % (8 * plain.len());
        plain[flip / 8] ^= 1 << (flip % 8);
        prop_assert!(key.decrypt(&plain).is_err());
    }

    #[test]
    fn keys_survive_their_encodings(key in key()) {
        let public = key.public_key();
        prop_assert_eq!(PublicKey::from_sec1(&public.to_sec1()), Ok(*public));
        prop_assert_eq!(PublicKey::from_sec1(&public.to_sec1_compressed()), Ok(*public));
        prop_assert_eq!(PublicKey::from_spki_der(&public.to_spki_der()), Ok(*public));
        let again = PrivateKey::from_pkcs8_der(&key.to_pkcs8_der()).unwrap();
        prop_assert_eq!(again.to_bytes(), key.to_bytes());
    }

    #[test]
    fn inverses_are_inverses(a: [u64; 4]) {
        let scalar = Scalar::reduced(&a);
        let expected = if scalar.is_zero() { Scalar::ZERO } else { Scalar::ONE };
        prop_assert_eq!(scalar.mul(&scalar.invert()).to_bytes(), expected.to_bytes());
        let a = field::Fe::from_integer(&limbs::reduce_once(&a, 0, &field::P));
        prop_assert!(a.mask_if_zero() != 0 || a.mul(&a.invert()).mask_if_same(&field::Fe::ONE) != 0);
        prop_assert!(a.square().square_root().is_some_and(|root| root.square().mask_if_same(&a.square()) != 0));
    }
}
