//! Whoever computes SM3, the tree is the same; a device that fails in the middle ends the reading.
#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

mod support;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use evidence::{Evidence, Options};
use gmdevice::{Device, Provider};
use support::tar::Tar;
use support::text;
use support::zip::{archive, deflated, stored};

fn read(path: &Path, sm3: Option<Arc<Device>>) -> Evidence {
    evidence::collect(path, &Options { sm3, ..Options::default() }, &|_, _| {}).unwrap()
}

#[test]
fn a_device_gives_the_tree_that_the_processor_gives() {
    let folder = tempfile::tempdir().unwrap();
    let contents = [("empty", 0), ("a", 3), ("b", 32 << 10), ("c", (32 << 10) + 1), ("large", 1_500_000)];
    fs::create_dir(folder.path().join("tree")).unwrap();
    for (name, size) in contents {
        fs::write(folder.path().join("tree").join(name), text(size)).unwrap();
    }
    let pack = |(name, size): (&'static str, usize)| match size % 2 {
        0 => stored(name, &text(size)),
        _ => deflated(name, &text(size)),
    };
    fs::write(folder.path().join("a.zip"), archive(contents.map(pack))).unwrap();
    let tar = contents.iter().fold(Tar::default(), |tar, (name, size)| tar.file(name, &text(*size))).end();
    fs::write(folder.path().join("a.tar"), tar).unwrap();
    let device = Arc::new(Device::open(&Provider::Cpu).unwrap());
    for name in ["tree", "a.zip", "a.tar", "tree/large"] {
        let path = folder.path().join(name);
        let (plain, other) = (read(&path, None), read(&path, Some(Arc::clone(&device))));
        assert_eq!(plain.digest(), other.digest(), "{name}");
        let (plain, other) = (plain.into_seal().unwrap(), other.into_seal().unwrap());
        assert_eq!(plain.tree(), other.tree(), "{name}");
    }
}
