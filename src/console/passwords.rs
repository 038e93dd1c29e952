//! Passwords: digests by Argon2id, and how slow it is to guess.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};

/// Shorter ones are refused. Nothing else is asked of a password: rules of signs make people choose worse ones.
pub const SHORTEST: usize = 12;
/// Argon2 reads all of it: longer ones only cost time.
pub const LONGEST: usize = 1024;
/// A digest of nobody's password: whoever gives a name that there is not waits as long as everybody.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5bm9ib2R5bm8$d1F6a2w0Q2p2VnJxV2h4T0ZtZ2tVb2FhYWFhYWFhYWE";

/// The digest to keep, in PHC form.
pub fn digest(password: &str) -> Result<String, String> {
    let length = password.chars().count();
    if length < SHORTEST {
        return Err(format!("the password has {length} characters: {SHORTEST} are the fewest"));
    }
    if password.len() > LONGEST {
        return Err(format!("the password is longer than {LONGEST} bytes"));
    }
    let digest: PasswordHash = Argon2::default().hash_password(password.as_bytes()).map_err(|e| e.to_string())?;
    Ok(digest.to_string())
}

/// Whether it is the password of this digest; without a digest the same work is done for nothing.
pub fn is_right(password: &str, digest: Option<&str>) -> bool {
    let parsed = PasswordHash::new(digest.unwrap_or(NOBODY));
    let checked = parsed.map(|parsed| Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok());
    digest.is_some() && password.len() <= LONGEST && checked.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_password_itself_opens_and_nobody_has_none() {
        let kept = digest("correct horse battery").unwrap();
        assert!(kept.starts_with("$argon2id$v=19$"));
        assert!(is_right("correct horse battery", Some(&kept)));
        assert!(!is_right("correct horse batterz", Some(&kept)));
        assert!(!is_right("correct horse battery", None));
        assert!(PasswordHash::new(NOBODY).is_ok(), "the work for nothing is real work");
        assert!(digest("short").unwrap_err().contains("12 are the fewest"));
    }
}
