//! `[api]`: who may call the API, and how it is served.
//!
//! A token is given by reference only, is read once, and is kept as its digest: it cannot be shown again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use sha2::Digest as _;
use subtle::ConstantTimeEq as _;

use crate::config::host::secret;
use crate::config::node::{ConfigNode, NodeTable};
use crate::config::section::ConfigSection;
use crate::config::value::{self, ReadResult};

/// A shorter one could be guessed.
const SHORTEST: usize = 16;
const LONGEST: usize = 1024;

/// Something that a token may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum TokenScope {
    Read,
    /// To call functions and publish events.
    Invoke,
    /// To change what is deployed.
    Deploy,
}

impl TokenScope {
    const NAMES: [(&'static str, Self); 3] = [("read", Self::Read), ("invoke", Self::Invoke), ("deploy", Self::Deploy)];

    /// The scope that is called so.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, scope)| *scope)
    }
}

impl fmt::Display for TokenScope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, scope)| scope == self).map_or("", |(name, _)| name);
        formatter.write_str(name)
    }
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) struct AccessToken {
    /// What it is called in the configuration.
    pub(crate) name: String,
    pub(crate) scopes: BTreeSet<TokenScope>,
    digest: [u8; 32],
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Token").field("name", &self.name).field("scopes", &self.scopes).finish_non_exhaustive()
    }
}

/// The tokens of a host. Cheap to clone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct AccessTokens(Arc<[Arc<AccessToken>]>);

impl AccessTokens {
    /// These tokens, for a test.
    #[cfg(test)]
    pub(crate) fn of(tokens: &[(&str, &str, &[TokenScope])]) -> Self {
        let token = |(name, text, scopes): &(&str, &str, &[TokenScope])| {
            Arc::new(AccessToken {
                name: (*name).into(),
                scopes: scopes.iter().copied().collect(),
                digest: digest(text.as_bytes()),
            })
        };
        Self(tokens.iter().map(token).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The token that reads `presented`. It takes the same time whichever it is, and whether it is one.
    pub(crate) fn find(&self, presented: &[u8]) -> Option<Arc<AccessToken>> {
        let presented = digest(presented);
        let mut found = None;
        for token in self.0.iter() {
            if bool::from(token.digest.ct_eq(&presented)) {
                found = Some(Arc::clone(token));
            }
        }
        found
    }
}

fn digest(token: &[u8]) -> [u8; 32] {
    sha2::Sha256::digest(token).into()
}

/// Who may call the API, and how it is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiAccess {
    /// Without any, everybody may do everything.
    pub(crate) tokens: AccessTokens,
    pub(crate) tls: Option<TlsFiles>,
}

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsFiles {
    /// The certificate, and those that lead from it to an authority, in PEM.
    pub(crate) certificate: PathBuf,
    /// Its private key, in PEM.
    pub(crate) private_key: PathBuf,
}

pub(crate) fn read(api: &ConfigSection<'_>, variables: &BTreeMap<String, String>) -> Option<ApiAccess> {
    let whole = api.optional("token", |node| token(node, variables));
    let certificate = api.optional("tls_certificate", value::non_empty_text);
    let private_key = api.optional("tls_key", value::non_empty_text);
    let named = read_named(api, variables);
    let all = [TokenScope::Read, TokenScope::Invoke, TokenScope::Deploy].into();
    let whole = whole?.map(|digest| AccessToken { name: "api.token".to_owned(), scopes: all, digest });
    let mut tokens: Vec<AccessToken> = Vec::new();
    for token in whole.into_iter().chain(named?) {
        if let Some(twin) = tokens.iter().find(|other| other.digest == token.digest) {
            api.refuse(
                "tokens",
                format!("\"{}\" and \"{}\" are the same token: give each its own", twin.name, token.name),
            );
            return None;
        }
        tokens.push(token);
    }
    let tls = match (certificate?, private_key?) {
        (None, None) => None,
        (Some(certificate), Some(private_key)) => {
            Some(TlsFiles { certificate: certificate.into(), private_key: private_key.into() })
        }
        (Some(_), None) => {
            api.refuse("tls_key", "is missing: a certificate needs its private key");
            return None;
        }
        (None, Some(_)) => {
            api.refuse("tls_certificate", "is missing: a private key needs its certificate");
            return None;
        }
    };
    Some(ApiAccess { tokens: AccessTokens(tokens.into_iter().map(Arc::new).collect()), tls })
}

fn read_named(api: &ConfigSection<'_>, variables: &BTreeMap<String, String>) -> Option<Vec<AccessToken>> {
    api.within("tokens", |tokens| {
        let defaults = tokens.default_table("*");
        let names = tokens.other_entries().into_keys();
        let entries: Vec<_> = names.map(|name| read_one(tokens, name, defaults, variables)).collect();
        entries.into_iter().collect()
    })
}

fn read_one<'a>(
    tokens: &ConfigSection<'a>,
    name: &str,
    defaults: Option<&'a NodeTable>,
    variables: &BTreeMap<String, String>,
) -> Option<AccessToken> {
    tokens.within_named(name, defaults, |entry| {
        let digest = entry.get("token", |node| token(node, variables));
        let scopes = entry.get("scopes", scopes);
        Some(AccessToken { name: name.to_owned(), scopes: scopes?, digest: digest? })
    })
}

fn scopes(node: &ConfigNode) -> ReadResult<BTreeSet<TokenScope>> {
    let scopes = value::list(value::one_of(&TokenScope::NAMES))(node)?;
    if scopes.is_empty() {
        return Err("is empty: name at least one of \"read\", \"invoke\", \"deploy\"".to_owned());
    }
    Ok(scopes.into_iter().collect())
}

/// The digest of the token that a reference leads to.
fn token(node: &ConfigNode, variables: &BTreeMap<String, String>) -> ReadResult<[u8; 32]> {
    let found = secret::read(node, variables, "the token itself")?;
    let (place, token) = (found.place, found.text.trim());
    if !(SHORTEST..=LONGEST).contains(&token.len()) {
        return Err(format!(
            "{place} has {} characters; a token has {SHORTEST} to {LONGEST}: make one with `openssl rand -hex 32`",
            token.len()
        ));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(format!("{place} has characters that a header cannot carry: use visible ASCII without spaces"));
    }
    Ok(digest(token.as_bytes()))
}
