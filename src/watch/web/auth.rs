//! Who may look: passwords, sessions, and how often one may try.
//!
//! Invariants: passwords are only known as argon2 hashes and sessions as SHA-256 of their tokens; secrets are compared
//! in constant time, and an unknown name takes as long as a wrong password; everything that strangers can make grow is
//! bounded.

use super::lock;
use crate::error::{Error, Result};
use argon2::{Argon2, PasswordHash, PasswordHasher, PasswordVerifier};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;

/// How long a login holds.
pub(super) const SESSION: Duration = Duration::from_hours(7 * 24);
/// Logins at a time.
const SESSIONS: usize = 1000;
/// Wrong attempts that cost nothing.
const FREE: u32 = 4;
/// The longest wait after wrong attempts.
const LONGEST: Duration = Duration::from_mins(5);
/// Without an attempt for so long, wrong ones are forgotten.
const FORGET: Duration = Duration::from_mins(15);
/// Addresses whose wrong attempts are known at a time.
const ADDRESSES: usize = 10_000;
/// Longest password, bytes.
const PASSWORD: usize = 1024;

/// A login.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) user: String,
    /// What a request that changes something must bring.
    pub(super) csrf: String,
    until: Instant,
}

/// Wrong attempts from an address.
struct Tries {
    wrong: u32,
    last: Instant,
}

/// Users, sessions and attempts.
pub(super) struct Auth {
    /// Name and argon2 hash.
    users: Vec<(String, String)>,
    /// What an unknown name's password is compared with.
    nobody: String,
    sessions: Mutex<HashMap<[u8; 32], Session>>,
    tries: Mutex<HashMap<IpAddr, Tries>>,
    /// For pages that need no login.
    open_csrf: String,
    metrics_token: Option<String>,
    /// Passwords are checked one at a time: each takes much memory.
    checking: Mutex<()>,
}

/// What becomes of an attempt.
pub(super) enum Attempt {
    /// The token for the cookie.
    In(String, Session),
    Wrong,
    /// Not now.
    Wait(Duration),
}

/// The argon2 hash of a password, as it stands in the configuration.
///
/// # Errors
/// [`Error::Config`] for a password shorter than 8 or longer than 1024 bytes, or when the system gives no randomness.
pub fn hash_password(password: &str) -> Result<String> {
    if !(8..=PASSWORD).contains(&password.len()) {
        return Err(Error::Config(format!("the password has {} bytes: 8 to {PASSWORD} are needed", password.len())));
    }
    let fail = |e: argon2::password_hash::Error| Error::Config(format!("the password can't be hashed: {e}"));
    let salt = random::<16>()?;
    Ok(Argon2::default().hash_password_with_salt(password.as_bytes(), &salt).map_err(fail)?.to_string())
}

impl Auth {
    /// Without users everybody may look.
    pub(super) fn new(users: Vec<(String, String)>, metrics_token: Option<String>) -> Result<Self> {
        for (name, hash) in &users {
            let right = PasswordHash::new(hash).is_ok_and(|hash| hash.algorithm.as_str().starts_with("argon2"));
            if !right {
                let words =
                    format!("dashboard user \"{name}\": password_hash is no argon2 hash; `startle passwd` makes one");
                return Err(Error::Config(words));
            }
        }
        Ok(Self {
            users,
            nobody: hash_password(&token()?)?,
            sessions: Mutex::default(),
            tries: Mutex::default(),
            open_csrf: token()?,
            metrics_token,
            checking: Mutex::new(()),
        })
    }

    pub(super) fn is_needed(&self) -> bool {
        !self.users.is_empty()
    }

    /// The session of a token; where no login is needed, everybody's.
    pub(super) fn session(&self, token: Option<&str>) -> Option<Session> {
        if !self.is_needed() {
            let until = Instant::now() + SESSION;
            return Some(Session { user: String::new(), csrf: self.open_csrf.clone(), until });
        }
        let sessions = lock(&self.sessions);
        sessions.get(&digest(token?)).filter(|session| session.until > Instant::now()).cloned()
    }

    /// Tries a password. Takes a tenth of a second.
    pub(super) fn attempt(&self, from: IpAddr, user: &str, password: &str) -> Result<Attempt> {
        let from = network(from);
        let _one = lock(&self.checking);
        if let Some(wait) = self.wait(from) {
            return Ok(Attempt::Wait(wait));
        }
        let known = self.users.iter().find(|(name, _)| name == user);
        let hash = known.map_or(&self.nobody, |(_, hash)| hash);
        let hash = PasswordHash::new(hash).map_err(|e| internal(&e.to_string()))?;
        let fits = password.len() <= PASSWORD;
        let right = fits && Argon2::default().verify_password(password.as_bytes(), &hash).is_ok();
        if !(right && known.is_some()) {
            self.note_wrong(from);
            return Ok(Attempt::Wrong);
        }
        lock(&self.tries).remove(&from);
        let token = token()?;
        let session = Session { user: user.into(), csrf: self::token()?, until: Instant::now() + SESSION };
        let mut sessions = lock(&self.sessions);
        sessions.retain(|_, session| session.until > Instant::now());
        if sessions.len() >= SESSIONS
            && let Some(oldest) = sessions.iter().min_by_key(|(_, session)| session.until).map(|(key, _)| *key)
        {
            sessions.remove(&oldest);
        }
        sessions.insert(digest(&token), session.clone());
        Ok(Attempt::In(token, session))
    }

    pub(super) fn log_out(&self, token: &str) {
        lock(&self.sessions).remove(&digest(token));
    }

    /// Whether this is the token for `/metrics`.
    pub(super) fn is_metrics_token(&self, given: &str) -> bool {
        self.metrics_token.as_ref().is_some_and(|token| same(token, given))
    }

    pub(super) const fn has_metrics_token(&self) -> bool {
        self.metrics_token.is_some()
    }

    /// How long an address must still wait.
    fn wait(&self, from: IpAddr) -> Option<Duration> {
        let tries = lock(&self.tries);
        let tries = tries.get(&from)?;
        let over = tries.wrong.checked_sub(FREE + 1)?;
        let wait = Duration::from_secs(1).saturating_mul(1 << over.min(16)).min(LONGEST);
        wait.checked_sub(tries.last.elapsed()).filter(|left| !left.is_zero())
    }

    fn note_wrong(&self, from: IpAddr) {
        let mut all = lock(&self.tries);
        all.retain(|_, tries| tries.last.elapsed() < FORGET);
        if all.len() >= ADDRESSES
            && let Some(oldest) = all.iter().min_by_key(|(_, tries)| tries.last).map(|(address, _)| *address)
        {
            all.remove(&oldest);
        }
        let tries = all.entry(from).or_insert(Tries { wrong: 0, last: Instant::now() });
        (tries.wrong, tries.last) = (tries.wrong.saturating_add(1), Instant::now());
    }
}

/// Whether two secrets are the same, in constant time for secrets of one length.
pub(super) fn same(a: &str, b: &str) -> bool {
    a.as_bytes().ct_eq(b.as_bytes()).into()
}

/// Who has one IPv6 address has 2⁶⁴.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) => IpAddr::V6((u128::from(six) >> 64 << 64).into()),
        four @ IpAddr::V4(_) => four,
    }
}

fn token() -> Result<String> {
    Ok(hex::encode(random::<32>()?))
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| Error::Config(format!("the system gives no random numbers: {e}")))?;
    Ok(bytes)
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn internal(reason: &str) -> Error {
    Error::Internal { stage: "login", reason: reason.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_holds_until_the_logout_and_wrong_attempts_have_to_wait() {
        let hash = hash_password("correct horse").unwrap();
        let auth = Auth::new(vec![("anna".into(), hash)], Some("t".into())).unwrap();
        let here = IpAddr::from([192, 0, 2, 1]);
        let Attempt::In(token, session) = auth.attempt(here, "anna", "correct horse").unwrap() else { panic!("out") };
        assert!(auth.session(Some(&token)).is_some_and(|s| s.user == "anna" && s.csrf == session.csrf));
        assert!(auth.session(None).is_none() && auth.session(Some(&session.csrf)).is_none());
        auth.log_out(&token);
        assert!(auth.session(Some(&token)).is_none());
        for name in ["anna", "nobody", "anna", "anna", "anna"] {
            assert!(matches!(auth.attempt(here, name, "wrong"), Ok(Attempt::Wrong)));
        }
        // Even the right one waits, but not from elsewhere.
        assert!(matches!(auth.attempt(here, "anna", "correct horse"), Ok(Attempt::Wait(_))));
        assert!(matches!(auth.attempt([192, 0, 2, 2].into(), "anna", "correct horse"), Ok(Attempt::In(..))));
        assert!(auth.is_metrics_token("t") && !auth.is_metrics_token("") && !auth.is_metrics_token("tt"));
    }

    #[test]
    fn hashes_differ_and_others_are_refused() {
        assert_ne!(hash_password("correct horse").unwrap(), hash_password("correct horse").unwrap());
        assert!(hash_password("short").is_err());
        let plain = Auth::new(vec![("anna".into(), "correct horse".into())], None).err().unwrap();
        assert!(plain.to_string().contains("startle passwd"), "{plain}");
    }
}
