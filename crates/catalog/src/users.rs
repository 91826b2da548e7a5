//! Operators of the console and their tokens. An [`Actor`] exists only through a token (or as the system itself).

use kairos_model::{Timestamp, UserId};
use std::fmt;

/// A source of random bytes; the program passes the system's, a simulation its own.
pub type Random<'a> = &'a mut (dyn FnMut(&mut [u8]) + Send);

/// Who acts: the user of the token that called. There is no other way to get one for a person.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Actor {
    id: UserId,
    name: String,
    roles: Vec<String>,
}

impl Actor {
    pub(crate) const fn new(id: UserId, name: String, roles: Vec<String>) -> Self {
        Self { id, name, roles }
    }
    /// The program itself: it may pause, complete and evaluate, and set up users; it can neither write, submit,
    /// approve nor start a campaign.
    pub fn system() -> Self {
        Self { id: UserId(0), name: "system".to_owned(), roles: Vec::new() }
    }
    pub const fn id(&self) -> UserId {
        self.id
    }
    pub fn name(&self) -> &str {
        &self.name
    }
    pub fn roles(&self) -> &[String] {
        &self.roles
    }
    pub fn has_role(&self, role: &str) -> bool {
        self.roles.iter().any(|r| r == role)
    }
    pub const fn is_system(&self) -> bool {
        self.id.0 == 0
    }
}

/// A user as the catalog knows them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct User {
    pub id: UserId,
    pub name: String,
    /// Data now; routes will ask for them.
    pub roles: Vec<String>,
    pub active: bool,
    pub created_at: Timestamp,
}

/// A fresh token. Its text is shown once and stored nowhere; `Debug` hides it.
pub struct Token(String);

/// Starts every token, so that scanners for leaked secrets can find one.
const PREFIX: &str = "kairos_";

impl Token {
    /// 256 random bits: a fast hash of it cannot be searched.
    pub(crate) fn draw(random: Random<'_>) -> Self {
        let mut bytes = [0u8; 32];
        random(&mut bytes);
        Self(bytes.iter().fold(PREFIX.to_owned(), |text, b| text + &format!("{b:02x}")))
    }
    /// The text to hand to its owner, once.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("kairos_****")
    }
}

/// What is stored of a token. `None` for a text that cannot be one.
pub(crate) fn token_hash(text: &str) -> Option<String> {
    let digits = text.trim().strip_prefix(PREFIX)?;
    (digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit())).then(|| {
        let mut h = blake3::Hasher::new_derive_key("kairos token 1");
        h.update(digits.to_ascii_lowercase().as_bytes());
        h.finalize().to_hex().to_string()
    })
}

/// The operators of a fresh installation: name and roles.
pub const SEED_USERS: [(&str, &[&str]); 4] =
    [("planner", &["planner"]), ("approver", &["approver"]), ("analyst", &["analyst"]), ("operator", &["operator"])];
