//! Oracles of the fuzz targets: nothing panics, and what is read prints as it was read.

/// A compiled policy that is read is written as the same bytes, unless its rules stand in another order; and as XML
/// it means the same.
pub fn binary(data: &[u8]) {
    let Ok(policy) = crate::read_binary(data) else { return };
    let Ok(written) = crate::write_binary(&policy) else { return };
    let again = crate::read_binary(&written).expect("what was written can be read");
    assert_eq!(crate::write_binary(&again).as_ref(), Ok(&written), "writing is stable");
    if let Ok(xml) = crate::write_xml(&again) {
        crate::read_xml(&xml).expect("printed XML can be read");
    }
}

/// XML that is read is printed as XML that means the same.
pub fn xml(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(policy) = crate::read_xml(text) else { return };
    let Ok(printed) = crate::write_xml(&policy) else { return };
    let again = crate::read_xml(&printed).expect("printed XML can be read");
    assert_eq!(crate::write_binary(&again), crate::write_binary(&policy));
}
