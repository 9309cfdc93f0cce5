//! The accepted enclaves, from the command line.

use crate::{
    Failure,
    args::TrustArgs,
    files::{lock, read_bytes, read_text, replace},
};
use ok2cry_client::{
    CheckTime, Error, Measurements, Trust, TrustAnchor,
    http::Client,
    measurements::{from_nitro_cli_json, parse_pcr},
    releases::{
        AcceptedReleases, Bundle, MAX_BUNDLE_LEN, MAX_STATE_LEN, ReleaseKey, ReleaseState, Role, SignerKey,
        Version,
    },
};
use std::path::Path;

/// The trust that the arguments describe. Releases come from `service` unless a file is given.
pub(crate) fn trust(args: &TrustArgs, service: Option<&Client>) -> Result<Trust, Failure> {
    let by_hand = !args.measurements.is_empty() || !args.pcr.is_empty();
    let ways = [!args.release_key.is_empty(), by_hand, args.insecure_without_pcrs];
    match ways.iter().filter(|way| **way).count() {
        0 => Err(unusable(
            "--release-key FILE, --measurements FILE or --pcr N=HEX is required (or --insecure-without-pcrs)",
        )),
        1 if args.insecure_without_pcrs => Ok(Trust::insecure_without_pcrs(anchor(args)?)),
        1 if by_hand => Ok(Trust::new(anchor(args)?, by_hand_releases(args)?)?),
        1 => {
            let anchor = anchor(args)?;
            let releases = releases(args, &anchor, service)?;
            Ok(Trust::from_releases(anchor, &releases)?)
        }
        _ => Err(unusable(
            "--release-key, --measurements (or --pcr) and --insecure-without-pcrs exclude each other; also \
             check the variables OK2CRY_RELEASE_KEY and OK2CRY_MEASUREMENTS",
        )),
    }
}

/// The releases that the pinned keys have signed.
pub(crate) fn releases(
    args: &TrustArgs,
    anchor: &TrustAnchor,
    service: Option<&Client>,
) -> Result<AcceptedReleases, Failure> {
    let keys = args.release_key.iter().map(|path| {
        SignerKey::from_pem(&read_text(path)?).map_err(|e| unusable(&format!("{}: {e}", path.display())))
    });
    let threshold = args.release_threshold.unwrap_or(args.release_key.len());
    let role = Role::new(threshold, keys.collect::<Result<_, _>>()?);
    let mut key = ReleaseKey::from_role(role.map_err(|e| unusable(&format!("--release-key: {e}")))?)
        .with_max_list_age(args.max_list_age);
    if let Some(version) = &args.minimum_version {
        let version = Version::parse(version)
            .ok_or_else(|| unusable("--minimum-version must be three numbers, as in 1.20.3"))?;
        key = key.with_minimum_version(version);
    }
    // Without the lock, one of two commands would overwrite the state of the other.
    let _lock = args.release_memory.as_deref().map(lock).transpose()?;
    let before = args.release_memory.as_deref().map(saved_state).transpose()?.unwrap_or_default();
    let mut memory = before.clone();
    let time = CheckTime::system();
    let checked = match (&args.releases, service) {
        (Some(path), _) => {
            let bundle = Bundle::decode(&read_bytes(path, MAX_BUNDLE_LEN as u64)?);
            let bundle = bundle.map_err(Error::Releases)?;
            key.check(&bundle, anchor, &mut memory, &time).map_err(|e| Error::Releases(e).into())
        }
        (None, Some(service)) => service.releases(&key, anchor, &mut memory, &time).map_err(Failure::from),
        (None, None) => Err(unusable("--releases FILE is required (the bundle.json of a service)")),
    };
    // Also after an error: a list without releases is refused, and its state keeps the list before it from
    // returning.
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
                "--pcr and --measurements exclude each other; also check the variable OK2CRY_MEASUREMENTS",
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
        .ok_or_else(|| unusable(&format!("--pcr {text:?}: expected N=HEX with 96 hex digits")))
}

fn saved_state(path: &Path) -> Result<ReleaseState, Failure> {
    if !path.exists() {
        return Ok(ReleaseState::default());
    }
    // A damaged file is an error. Deleting it starts anew.
    ReleaseState::decode(&read_bytes(path, MAX_STATE_LEN as u64)?)
        .map_err(|e| unusable(&format!("{}: {e}", path.display())))
}

fn unusable(why: &str) -> Failure {
    Failure::unusable(why)
}
