//! A zip writer for tests that writes what it is told, also what no zip should be.

use libdeflater::{CompressionLvl, Compressor};

/// An entry; the `claims` are what the headers say where that is not the truth.
#[derive(Clone)]
pub(crate) struct Crafted {
    pub name: Vec<u8>,
    pub local_name: Option<Vec<u8>>,
    pub data: Vec<u8>,
    pub method: u16,
    pub flags: u16,
    pub mode: u32,
    pub claimed_size: Option<u32>,
    pub claimed_stored_size: Option<u32>,
    pub claimed_crc: Option<u32>,
    pub claimed_offset: Option<u32>,
}

/// A stored file of mode 0644.
pub(crate) fn file(name: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Crafted {
    Crafted {
        name: name.as_ref().to_vec(),
        local_name: None,
        data: data.as_ref().to_vec(),
        method: 0,
        flags: 0,
        mode: 0o100_644,
        claimed_size: None,
        claimed_stored_size: None,
        claimed_crc: None,
        claimed_offset: None,
    }
}

impl Crafted {
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The same, deflated.
    pub(crate) fn deflated(self) -> Self {
        self.with(|entry| entry.method = 8)
    }

    fn stored(&self) -> Vec<u8> {
        if self.method != 8 {
            return self.data.clone();
        }
        let mut compressor = Compressor::new(CompressionLvl::default());
        let mut out = vec![0; compressor.deflate_compress_bound(self.data.len())];
        let len = compressor.deflate_compress(&self.data, &mut out).expect("the bound is enough");
        out.truncate(len);
        out
    }

    /// Fields that both headers share: flags, method, time, CRC, sizes.
    fn shared(&self, out: &mut Vec<u8>, stored: usize) {
        out.extend(self.flags.to_le_bytes());
        out.extend(self.method.to_le_bytes());
        out.extend([0, 0, 0x21, 0]);
        out.extend(self.claimed_crc.unwrap_or_else(|| libdeflater::crc32(&self.data)).to_le_bytes());
        out.extend(self.claimed_stored_size.unwrap_or(stored as u32).to_le_bytes());
        out.extend(self.claimed_size.unwrap_or(self.data.len() as u32).to_le_bytes());
    }
}

/// The bytes of a zip file with these entries after `prefix`.
pub(crate) fn zip(prefix: &[u8], entries: &[Crafted]) -> Vec<u8> {
    let (mut out, mut directory) = (prefix.to_vec(), Vec::new());
    for entry in entries {
        let (offset, stored) = (out.len() as u32, entry.stored());
        let local_name = entry.local_name.as_ref().unwrap_or(&entry.name);
        out.extend(b"PK\x03\x04\x14\0");
        entry.shared(&mut out, stored.len());
        out.extend((local_name.len() as u16).to_le_bytes());
        out.extend([0, 0]);
        out.extend(local_name);
        out.extend(&stored);
        // Made on Unix: the mode counts.
        directory.extend(b"PK\x01\x02\x14\x03\x14\0");
        entry.shared(&mut directory, stored.len());
        directory.extend((entry.name.len() as u16).to_le_bytes());
        directory.extend([0; 8]);
        directory.extend((entry.mode << 16).to_le_bytes());
        directory.extend(entry.claimed_offset.unwrap_or(offset).to_le_bytes());
        directory.extend(&entry.name);
    }
    let (start, len, count) = (out.len() as u32, directory.len() as u32, entries.len() as u16);
    out.extend(&directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(len.to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0, 0]);
    out
}
