//! Both ends through the public API, on two mappings of one memory file, as two processes have them.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by unwrapping")]
#![allow(clippy::cast_possible_truncation, reason = "test data is cut on purpose")]
#![cfg(target_os = "linux")]

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use shmring::{MAX_RECORD, MIN_CAPACITY, Memory, Producer, Push, Reader, RingError, Settler, consume};

/// Both halves of the reading end.
struct Consumer(Reader, Settler);

impl Consumer {
    fn new(memory: Memory) -> Result<Self, RingError> {
        consume(memory).map(|(reader, settler)| Self(reader, settler))
    }

    /// What is there, at most so many records; settled when asked for.
    fn read(&mut self, records: usize, settle: bool) -> Result<Vec<Vec<u8>>, RingError> {
        let (mut read, mut end) = (Vec::new(), 0);
        let count = self.0.drain(records, usize::MAX, |record| {
            end = record.end;
            read.extend(record.content.map(<[u8]>::to_vec));
        })?;
        if settle && count > 0 {
            self.1.settle(end, (count - read.len()) as u64);
        }
        Ok(read)
    }
}

fn pair() -> (Consumer, Producer, OwnedFd) {
    let (memory, file) = Memory::create(MIN_CAPACITY).unwrap();
    (Consumer::new(memory).unwrap(), Producer::new(Memory::adopt(&file).unwrap()).unwrap(), file)
}

fn read_all(consumer: &mut Consumer) -> Vec<Vec<u8>> {
    consumer.read(usize::MAX, true).unwrap()
}

/// A record whose every byte follows from its number.
fn record(n: u64) -> Vec<u8> {
    let length = 1 + (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % 900;
    (0..length).map(|i| (n as usize).wrapping_mul(31).wrapping_add(i) as u8).collect()
}

#[test]
fn every_record_arrives_once_in_order_many_times_round() {
    let (mut consumer, mut producer, _file) = pair();
    const RECORDS: u64 = 100_000; // 45 MB through 256 KiB
    let writing = std::thread::spawn(move || {
        for n in 0..RECORDS {
            producer.push_by(&record(n), None).unwrap();
        }
        let end = producer.position();
        assert!(producer.wait_settled(end, None));
        assert_eq!(producer.settled(), end);
    });
    let mut next = 0;
    while next < RECORDS {
        let mut end = 0;
        let count = consumer.0.drain(100, 1 << 16, |got| {
            assert_eq!(got.content, Some(&record(next)[..]), "record {next}");
            (next, end) = (next + 1, got.end);
        });
        match count.unwrap() {
            0 => consumer.0.sleep(Duration::from_millis(10)),
            _ => consumer.1.settle(end, 0),
        }
    }
    writing.join().unwrap();
}

#[test]
fn a_full_ring_refuses_drops_or_waits_as_the_caller_chose() {
    let (mut consumer, mut producer, _file) = pair();
    let big = vec![7u8; MAX_RECORD];
    let mut fit = 0;
    while producer.push(&big).is_ok() {
        fit += 1;
    }
    assert_eq!(fit, 3, "four frames of 64 KiB and 16 bytes do not fit into 256 KiB");
    assert!(matches!(producer.push(&big), Err(RingError::Full)));
    assert_eq!(producer.push_or_drop(&big).unwrap(), Push::Dropped);
    assert_eq!(producer.push_or_drop(&big).unwrap(), Push::Dropped);
    assert_eq!((producer.dropped(), consumer.0.newly_dropped(), consumer.0.newly_dropped()), (2, 2, 0));
    let soon = Instant::now() + Duration::from_millis(30);
    assert!(matches!(producer.push_by(&big, Some(soon)), Err(RingError::Full)));
    assert!(Instant::now() >= soon);
    // Read is not settled: the room is not given back before the reader has done with the records.
    assert_eq!(consumer.read(1, false).unwrap().len(), 1);
    assert!(matches!(producer.push(&big), Err(RingError::Full)));
    let waiting = std::thread::spawn(move || producer.push_by(&big, None).map(|_| producer));
    std::thread::sleep(Duration::from_millis(20));
    assert!(!waiting.is_finished());
    consumer.1.settle(MAX_RECORD as u64 + 16, 1);
    let producer = waiting.join().unwrap().unwrap();
    assert_eq!(producer.refused(), 1);
    assert_eq!(read_all(&mut consumer).len(), 3, "two of the first and the one that waited");
}

#[test]
fn what_a_dying_producer_had_begun_is_not_there() {
    let (mut consumer, mut producer, file) = pair();
    producer.push(b"whole").unwrap();
    let begun = producer.position();
    drop(producer);
    // It died after the frame and half of the record, before its cursor moved.
    let file = File::from(file);
    let mut frame = [0u8; 24];
    frame[..4].copy_from_slice(&16u32.to_ne_bytes());
    frame[8..16].copy_from_slice(&begun.to_ne_bytes());
    file.write_all_at(&frame, 4096 + begun).unwrap();
    assert_eq!(read_all(&mut consumer), [b"whole"]);
    assert!(read_all(&mut consumer).is_empty());
    // Whoever adopts the memory writes over it.
    let mut next = Producer::new(Memory::adopt(&file).unwrap()).unwrap();
    next.push(b"next").unwrap();
    assert_eq!(read_all(&mut consumer), [b"next"]);
}

#[test]
fn the_next_consumer_begins_where_the_last_one_settled() {
    let (mut consumer, mut producer, file) = pair();
    for n in 0..5 {
        producer.push(&record(n)).unwrap();
    }
    let mut end = 0;
    consumer.0.drain(2, usize::MAX, |record| end = record.end).unwrap();
    consumer.1.settle(end, 1);
    consumer.read(2, false).unwrap(); // read, and then it dies
    drop(consumer);
    let mut next = Consumer::new(Memory::adopt(&file).unwrap()).unwrap();
    producer.push(&record(5)).unwrap();
    assert_eq!(read_all(&mut next), [record(2), record(3), record(4), record(5)]);
    assert_eq!((producer.settled(), producer.refused()), (producer.position(), 1));
}

#[test]
fn a_record_changed_in_memory_is_passed_over_and_the_rest_is_read() {
    let (mut consumer, mut producer, file) = pair();
    for text in ["first", "second", "third"] {
        producer.push(text.as_bytes()).unwrap();
    }
    File::from(file).write_all_at(b"X", 4096 + 32 + 16).unwrap();
    assert_eq!(read_all(&mut consumer), [b"first".to_vec(), b"third".to_vec()]);
    assert_eq!((producer.settled(), producer.refused()), (producer.position(), 1));
}

#[test]
fn cursors_that_cannot_be_end_the_ring() {
    for (at, value, name) in [
        (128u64, MIN_CAPACITY + 16, "head beyond the capacity"),
        (128, 8, "head between two records"),
        (128, u64::MAX - 15, "head far away"),
        (4096, u64::from(u32::MAX), "length beyond the limit"),
        (4096, 0, "length of nothing"),
        (4096, 1000, "record behind the head"),
        (4096 + 8, 4096, "frame of another place"),
    ] {
        let (mut consumer, mut producer, file) = pair();
        producer.push(b"record").unwrap();
        File::from(file).write_all_at(&value.to_ne_bytes(), at).unwrap();
        for _ in 0..2 {
            let ended = consumer.read(9, true);
            assert!(matches!(ended, Err(RingError::Broken { .. })), "{name}: {ended:?}");
        }
        let begun = Instant::now();
        consumer.0.sleep(Duration::from_millis(1)); // does not wait for what will not come
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

#[test]
fn only_sealed_memory_of_a_ring_is_adopted() {
    let foreign = |file: &OwnedFd| matches!(Memory::adopt(file), Err(RingError::Foreign { .. }));
    let size = 4096 + MIN_CAPACITY;
    let ordinary: OwnedFd = File::open(std::env::current_exe().unwrap()).unwrap().into();
    assert!(foreign(&ordinary), "a file on a disk");
    let make = |size: u64, flags: MFdFlags| -> nix::Result<OwnedFd> {
        let file = File::from(memfd_create("test", flags | MFdFlags::MFD_ALLOW_SEALING)?);
        file.set_len(size).unwrap();
        Ok(file.into())
    };
    let seal = |file: &OwnedFd, seals| fcntl(file, FcntlArg::F_ADD_SEALS(seals)).unwrap();
    let unsealed = make(size, MFdFlags::empty()).unwrap();
    assert!(foreign(&unsealed), "it could shrink");
    seal(&unsealed, SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW);
    assert!(foreign(&unsealed), "it could be sealed against writing");
    seal(&unsealed, SealFlag::F_SEAL_SEAL);
    assert!(foreign(&unsealed), "no ring was made in it");
    let (_memory, ring) = Memory::create(MIN_CAPACITY).unwrap();
    assert!(File::from(ring.try_clone().unwrap()).set_len(size - 1).is_err(), "a ring keeps its size");
    assert!(Memory::adopt(&ring).is_ok());
    for size in [0, 4096, 4096 + MIN_CAPACITY / 2, 4096 + MIN_CAPACITY * 3 / 2] {
        let odd = make(size, MFdFlags::empty()).unwrap();
        seal(&odd, SealFlag::all() & !SealFlag::F_SEAL_WRITE);
        assert!(foreign(&odd), "{size} bytes");
    }
    // Huge pages can be missing when they are touched, which is a signal. Not every kernel has them.
    if let Ok(huge) = make(0, MFdFlags::MFD_HUGETLB) {
        seal(&huge, SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL);
        assert!(foreign(&huge), "huge pages");
    }
    assert!(Memory::create(MIN_CAPACITY + 4096).is_err() && Memory::create(MIN_CAPACITY / 2).is_err());
}

#[test]
fn a_descriptor_goes_over_a_socket_and_only_one_is_kept() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let (memory, file) = Memory::create(MIN_CAPACITY).unwrap();
    assert_eq!(shmring::send(&ours, b"here it is", &file).unwrap(), 10);
    let mut bytes = [0u8; 64];
    let (length, received) = shmring::receive(&theirs, &mut bytes).unwrap();
    assert_eq!(&bytes[..length], b"here it is");
    let mut producer = Producer::new(Memory::adopt(received.unwrap()).unwrap()).unwrap();
    producer.push(b"through the socket").unwrap();
    assert_eq!(read_all(&mut Consumer::new(memory).unwrap()), [b"through the socket"]);
    // Many at once: one stays, the others are closed.
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
    use std::os::fd::AsRawFd as _;
    let many = vec![file.as_raw_fd(); 200];
    let rights = [ControlMessage::ScmRights(&many)];
    let bytes_out = [std::io::IoSlice::new(b"x")];
    sendmsg::<()>(ours.as_raw_fd(), &bytes_out, &rights, MsgFlags::empty(), None).unwrap();
    let before = open();
    let (_, kept) = shmring::receive(&theirs, &mut bytes).unwrap();
    // Other tests of this process open and close descriptors too, but not two hundred.
    assert!(kept.is_some() && open() < before + 100);
    drop(ours);
    assert_eq!(shmring::receive(&theirs, &mut bytes).unwrap().0, 0);
}
