//! Which enclaves are accepted, from the command line.

use crate::{
    Failure,
    args::TrustArgs,
    files::{lock, read_bytes, read_text, replace},
};
use ok2cry_attest_verify::{
    CheckTime, Measurements, TrustAnchor,
    release::{
        AcceptedReleases, Bundle, MAX_BUNDLE_LEN, MAX_MEMORY_LEN, Memory, PublicKey, ReleaseKey, Role,
        Version,
    },
};
use ok2cry_client::{
    Trust,
    http::Client,
    measurements::{from_nitro_cli_json, parse_pcr},
};
use std::path::Path;

/// What the arguments accept. `service` is asked for its releases, if they are to come from there.
pub(crate) fn trust(args: &TrustArgs, service: Option<&Client>) -> Result<Trust, Failure> {
    let by_hand = !args.measurements.is_empty() || !args.pcr.is_empty();
    let ways = [!args.release_key.is_empty(), by_hand, args.insecure_without_pcrs];
    match ways.iter().filter(|way| **way).count() {
        0 => Err(unusable(
            "say which enclaves are accepted: --release-key PEM, --measurements FILE or --pcr N=HEX (or \
             --insecure-without-pcrs)",
        )),
        1 if args.insecure_without_pcrs => Ok(Trust::insecure_without_pcrs(anchor(args)?)),
        1 if by_hand => Ok(Trust::new(anchor(args)?, by_hand_releases(args)?)?),
        1 => {
            let anchor = anchor(args)?;
            let releases = releases(args, &anchor, service)?;
            Ok(Trust::from_releases(anchor, &releases)?)
        }
        _ => Err(unusable(
            "--release-key, --measurements (or --pcr) and --insecure-without-pcrs are three ways: take one, and look at \
             OK2CRY_RELEASE_KEY and OK2CRY_MEASUREMENTS",
        )),
    }
}

/// The releases that a pinned key stands for.
pub(crate) fn releases(
    args: &TrustArgs,
    anchor: &TrustAnchor,
    service: Option<&Client>,
) -> Result<AcceptedReleases, Failure> {
    let keys = args.release_key.iter().map(|path| {
        PublicKey::from_pem(&read_text(path)?).map_err(|e| unusable(&format!("{}: {e}", path.display())))
    });
    let threshold = args.release_threshold.unwrap_or(args.release_key.len());
    let role = Role::new(threshold, keys.collect::<Result<_, _>>()?);
    let mut key = ReleaseKey::from_role(role.map_err(|e| unusable(&format!("--release-key: {e}")))?)
        .max_list_age_ms(args.max_list_age);
    if let Some(version) = &args.minimum_version {
        let version = Version::parse(version)
            .ok_or_else(|| unusable("--minimum-version must be three numbers, as in 1.20.3"))?;
        key = key.minimum_version(version);
    }
    // Two at a time would each remember what the other does not know.
    let _alone = args.release_memory.as_deref().map(lock).transpose()?;
    let before = args.release_memory.as_deref().map(remembered).transpose()?.unwrap_or_default();
    let mut memory = before.clone();
    let time = CheckTime::system();
    let checked = match (&args.releases, service) {
        (Some(path), _) => {
            let bundle = Bundle::decode(&read_bytes(path, MAX_BUNDLE_LEN as u64)?);
            let bundle = bundle.map_err(ok2cry_client::Error::Releases)?;
            key.check(&bundle, anchor, &mut memory, &time)
                .map_err(|e| ok2cry_client::Error::Releases(e).into())
        }
        (None, Some(service)) => service.releases(&key, anchor, &mut memory, &time).map_err(Failure::from),
        (None, None) => {
            Err(unusable("say where the releases are: --releases FILE (a service's bundle.json)"))
        }
    };
    // A list that leaves no release is refused and remembered: the one before is not to come back.
    if let Some(path) = args.release_memory.as_deref().filter(|_| memory != before) {
        replace(path, &memory.encode()).map_err(|e| unusable(&format!("{}: {e}", path.display())))?;
    }
    checked
}

/// The root certificate.
pub(crate) fn anchor(args: &TrustArgs) -> Result<TrustAnchor, Failure> {
    match &args.root {
        None => Ok(TrustAnchor::aws_nitro()),
        Some(path) => TrustAnchor::from_pem(&read_text(path)?).map_err(|e| unusable(&format!("--root: {e}"))),
    }
}

fn by_hand_releases(args: &TrustArgs) -> Result<Vec<Measurements>, Failure> {
    let mut releases = Vec::new();
    for path in &args.measurements {
        let release = from_nitro_cli_json(&read_text(path)?);
        releases.push(release.map_err(|e| unusable(&format!("{}: {e}", path.display())))?);
    }
    if !args.pcr.is_empty() {
        if !releases.is_empty() {
            return Err(unusable(
                "--pcr names a release by itself: leave out --measurements (and OK2CRY_MEASUREMENTS)",
            ));
        }
        let pcrs = args.pcr.iter().map(|text| pcr(text)).collect::<Result<Vec<_>, _>>()?;
        releases.push(Measurements::new(pcrs).map_err(|e| unusable(&format!("--pcr: {e}")))?);
    }
    Ok(releases)
}

fn pcr(text: &str) -> Result<(u8, [u8; 48]), Failure> {
    text.split_once('=')
        .and_then(|(n, hex)| Some((n.parse().ok()?, parse_pcr(hex)?)))
        .ok_or_else(|| unusable(&format!("--pcr {text:?} is not N=HEX with 96 hex digits")))
}

fn remembered(path: &Path) -> Result<Memory, Failure> {
    if !path.exists() {
        return Ok(Memory::default());
    }
    // Damaged is not forgotten: whoever wants to begin anew deletes the file.
    Memory::decode(&read_bytes(path, MAX_MEMORY_LEN as u64)?)
        .map_err(|e| unusable(&format!("{}: {e}", path.display())))
}

fn unusable(why: &str) -> Failure {
    Failure::unusable(why)
}
