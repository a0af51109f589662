//! A table's list in the `SEGMENTS` object, after its piece was opened.

#![no_main]

use libfuzzer_sys::fuzz_target;
use strongroom_format::segment::SegmentList;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(list) = SegmentList::decode(bytes) {
        assert_eq!(SegmentList::decode(&list.encode()), Ok(list));
    }
});
