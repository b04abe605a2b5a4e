//! What MD5 and SHA-1 have in common: blocks of 64 bytes, compressed one after the other into a few words.

/// The state between two pieces of a message. Its members are open, because C programs keep it on their stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain<const WORDS: usize> {
    /// The beginning of a block; as many bytes as `count` is above a multiple of 64.
    pub block: [u8; BLOCK],
    /// What the blocks before have been compressed into.
    pub digest: [u32; WORDS],
    /// Bytes so far.
    pub count: u64,
}

const BLOCK: usize = 64;
/// Where in the last block the length of the message stands.
const LENGTH_AT: usize = BLOCK - 8;

type Compress<const WORDS: usize> = fn(&mut [u32; WORDS], &[[u8; BLOCK]]);

impl<const WORDS: usize> Chain<WORDS> {
    pub(super) fn new(digest: [u32; WORDS]) -> Chain<WORDS> {
        Chain { block: [0; BLOCK], digest, count: 0 }
    }

    pub(super) fn update(&mut self, mut data: &[u8], compress: Compress<WORDS>) {
        let begun = self.begun();
        self.count = self.count.wrapping_add(data.len() as u64);
        if begun > 0 {
            let (head, rest) = data.split_at(data.len().min(BLOCK - begun));
            self.block[begun..begun + head.len()].copy_from_slice(head);
            if begun + head.len() < BLOCK {
                return;
            }
            compress(&mut self.digest, &[self.block]);
            data = rest;
        }
        let (blocks, rest) = data.as_chunks::<BLOCK>();
        compress(&mut self.digest, blocks);
        self.block[..rest.len()].copy_from_slice(rest);
    }

    /// Pads: a one bit, zeros, and the length in bits, as `length` writes it.
    pub(super) fn finish(&mut self, length: fn(u64) -> [u8; 8], compress: Compress<WORDS>) -> [u32; WORDS] {
        let begun = self.begun();
        let bits = self.count.wrapping_mul(8);
        self.block[begun] = 0x80;
        self.block[begun + 1..].fill(0);
        if begun >= LENGTH_AT {
            compress(&mut self.digest, &[self.block]);
            self.block = [0; BLOCK];
        }
        self.block[LENGTH_AT..].copy_from_slice(&length(bits));
        compress(&mut self.digest, &[self.block]);
        self.digest
    }

    fn begun(&self) -> usize {
        (self.count % BLOCK as u64) as usize
    }
}
