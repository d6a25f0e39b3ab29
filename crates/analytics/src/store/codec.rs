//! Numbers in as few bytes as they need (LEB128), behind a version byte.

/// The version of every block.
const VERSION: u8 = 1;

/// Writes a block.
pub struct Writer(Vec<u8>);

impl Writer {
    /// An empty block.
    pub fn new() -> Self {
        Self(vec![VERSION])
    }
    /// Appends a number.
    pub fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
    /// Appends the exact bits of a number.
    pub fn bits(&mut self, value: f64) {
        self.0.extend_from_slice(&value.to_bits().to_be_bytes());
    }
    /// Appends bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }
    /// The bytes.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

/// Reads a block. Errors are texts that say what is wrong with it.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The content of a block.
    ///
    /// # Errors
    /// If it is empty or has another version.
    pub fn new(block: &'a [u8]) -> Result<Self, String> {
        match block.split_first() {
            Some((&VERSION, rest)) => Ok(Self(rest)),
            Some((version, _)) => Err(format!("block version {version} instead of {VERSION}")),
            None => Err("an empty block".into()),
        }
    }
    /// Whether everything was read.
    pub fn is_at_end(&self) -> bool {
        self.0.is_empty()
    }
    /// The next number.
    ///
    /// # Errors
    /// If the block ends, or the number needs more than 64 bits.
    pub fn number(&mut self) -> Result<u64, String> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or("the block ends in a number")?;
            self.0 = rest;
            let part = u64::from(byte & 0x7f);
            if part << shift >> shift != part {
                return Err("a number of more than 64 bits".into());
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("a number of more than 64 bits".into())
    }
    /// The next number, if it fits.
    ///
    /// # Errors
    /// If the block ends, or the number is too large for its place.
    pub fn small<T: TryFrom<u64>>(&mut self) -> Result<T, String> {
        let value = self.number()?;
        T::try_from(value).map_err(|_| format!("the number {value} is too large for its place"))
    }
    /// The next byte.
    ///
    /// # Errors
    /// If the block ends.
    pub fn byte(&mut self) -> Result<u8, String> {
        let (byte, rest) = self.0.split_first().ok_or("the block ends in a byte")?;
        self.0 = rest;
        Ok(*byte)
    }
    /// The next number by its exact bits.
    ///
    /// # Errors
    /// If the block ends.
    pub fn bits(&mut self) -> Result<f64, String> {
        let (head, rest) = self.0.split_first_chunk().ok_or("the block ends in a number")?;
        self.0 = rest;
        Ok(f64::from_bits(u64::from_be_bytes(*head)))
    }
    /// Everything that is left.
    pub fn rest(self) -> &'a [u8] {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_damage_is_an_error() {
        let numbers = [0, 1, 127, 128, 16_383, 16_384, u64::from(u32::MAX), u64::MAX];
        let mut writer = Writer::new();
        numbers.iter().for_each(|n| writer.number(*n));
        writer.bits(0.1);
        let block = writer.finish();
        let mut reader = Reader::new(&block).unwrap();
        numbers.iter().for_each(|n| assert_eq!(reader.number().unwrap(), *n));
        assert_eq!((reader.bits().unwrap(), reader.is_at_end()), (0.1, true));
        assert!(reader.number().is_err() && Reader::new(&[]).is_err() && Reader::new(&[2, 0]).is_err());
        let too_long = [&[VERSION][..], &[0xff; 10]].concat();
        assert!(Reader::new(&too_long).unwrap().number().is_err());
        let too_large = [&[VERSION][..], &[0xff; 9], &[2]].concat();
        assert!(Reader::new(&too_large).unwrap().number().is_err());
        assert!(Reader::new(&block).unwrap().small::<u8>().is_ok());
    }
}
