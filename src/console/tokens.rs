//! Tokens: how one is made, and by what the store knows it.
//!
//! It is 256 random bits, so that a plain digest is enough: nobody can guess what to try.

use sha2::{Digest, Sha256};

use crate::domain::token::PREFIX;

/// A new token: to be shown once, and the digest to keep.
pub fn fresh() -> Result<(String, String), String> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).map_err(|e| format!("no random numbers: {e}"))?;
    let token = format!("{PREFIX}{}", hex(&random));
    let digest = digest(&token);
    Ok((token, digest))
}

/// What the store knows a token by.
pub fn digest(token: &str) -> String {
    hex(&Sha256::digest(format!("token {token}")))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_is_like_another_one() {
        let (one, digest_of_one) = fresh().unwrap();
        let (two, digest_of_two) = fresh().unwrap();
        assert!(one.starts_with("asd_") && one.len() == 68, "{one}");
        assert!(one != two && digest_of_one != digest_of_two);
        assert_eq!(digest_of_one, digest(&one));
    }
}
