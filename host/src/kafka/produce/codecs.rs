//! The compressions that librdkafka was built with. It accepts the setting of another one, and then sends nothing.

use rdkafka::ClientConfig;

use crate::kafka::produce::producer::codec;
use crate::model::function::Compression;

/// librdkafka's own list of its features, for example `gzip,snappy,ssl`.
pub(crate) fn built_in() -> Option<String> {
    ClientConfig::new().create_native_config().and_then(|config| config.get("builtin.features")).ok()
}

/// Whether a client with these features cannot write `compression`.
pub(crate) fn is_missing(features: &str, compression: Compression) -> bool {
    let name = codec(compression);
    compression != Compression::None && !features.split(',').any(|feature| feature.trim() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Compression; 5] =
        [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

    #[test]
    fn what_a_build_lacks_is_missing() {
        let lacking: Vec<_> =
            ALL.into_iter().filter(|one| is_missing("snappy,ssl,sasl, lz4,zstandard,gzip2", *one)).collect();
        assert_eq!(lacking, [Compression::Gzip, Compression::Zstd]);
    }

    #[test]
    fn this_build_has_all() {
        let features = built_in().unwrap();
        assert!(ALL.iter().all(|compression| !is_missing(&features, *compression)), "{features}");
        for feature in ["ssl", "sasl_scram", "sasl_oauthbearer", "oidc"] {
            assert!(features.split(',').any(|found| found == feature), "{feature} is missing: {features}");
        }
    }
}
