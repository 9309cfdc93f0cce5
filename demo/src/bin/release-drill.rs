//! `make release-drill`: a product's releases from the first to a lost key, against running enclaves of
//! several image versions. Prints what each client decides and why.

use ok2cry_attest_verify::{CheckTime, TrustAnchor};
use ok2cry_client::{Error as ClientError, KeyRequest, Message, RecipientKey, Trust, http::CallError};
use ok2cry_demo::verdict::refusal;
use ok2cry_release_verify::{Bundle, ReleaseKey, ReleaseState, Version};
use ok2cry_testkit::{
    Deployment, HarnessError, Options, Publisher,
    publisher::{BUILDERS, PRODUCT},
};
use std::{error::Error, fs, path::Path, process::ExitCode, time::Duration};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const HOUR_MS: u64 = 3_600_000;

fn main() -> ExitCode {
    match run() {
        Ok(()) => {
            println!("\nAll of it held.");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("\nthe drill failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Outcome {
    println!("The releases of {PRODUCT}: two root keys, two builders, a list key, a log");
    let publisher = Publisher::new()?;
    let old = enclave(&publisher, "1.0.0")?;
    let new = enclave(&publisher, "1.1.0")?;
    let impostor = enclave(&publisher, "1.0.0 with a backdoor")?;
    let drill = Drill { old: &old, new: &new, impostor: &impostor, publisher: &publisher };
    let mut client = Client::new(&drill, publisher.release_key()?)?;

    drill.first_release(&mut client)?;
    drill.rollout_with_overlap(&mut client)?;
    let overlap = fs::read(publisher.site().join("bundle.json"))?;
    drill.end_of_the_overlap(&mut client)?;
    drill.rollback(&mut client)?;
    drill.emergency(&mut client, &overlap)?;
    drill.lost_builder(&mut client)?;
    drill.another_history(&mut client)?;
    drill.auditor()
}

/// An enclave of this image version under the drill's mock root. Its parent serves the published folder.
fn enclave(publisher: &Publisher, version: &str) -> Outcome<Deployment> {
    Ok(Deployment::start(Options {
        image_name: format!("{PRODUCT} {version}"),
        mock_root: Some(publisher.folder().join("mock-root.pem")),
        release_site: Some(publisher.site()),
        ..Options::default()
    })?)
}

struct Drill<'a> {
    old: &'a Deployment,
    new: &'a Deployment,
    impostor: &'a Deployment,
    publisher: &'a Publisher,
}

/// A client that pins the release key and keeps a release state.
struct Client {
    key: ReleaseKey,
    anchor: TrustAnchor,
    memory: ReleaseState,
    recipient: RecipientKey,
}

impl Client {
    fn new(drill: &Drill<'_>, key: ReleaseKey) -> Outcome<Self> {
        let recipient = RecipientKey::generate()?;
        Ok(Self { key, anchor: drill.old.anchor()?, memory: ReleaseState::default(), recipient })
    }

    /// Fetches releases and a key as a page does, and seals if both are accepted. Returns the enclave's
    /// version.
    fn seal(&mut self, service: &Deployment) -> Result<String, CallError> {
        let (client, time) = (service.client(), CheckTime::system());
        let releases = client.releases(&self.key, &self.anchor, &mut self.memory, &time)?;
        let trust = Trust::from_releases(self.anchor.clone(), &releases)?;
        let request = KeyRequest::new("card-pin", Duration::from_secs(60), self.recipient.public_key())?;
        let keys = client.issue(request, &trust, &time)?;
        for key in keys {
            key.seal(&Message { plaintext: b"4931", aad: b"order 17" }, &time)?;
        }
        let batch = statement(&client, &trust, &time)?;
        let release = batch.and_then(|index| releases.releases().get(index));
        Ok(release.map_or_else(String::new, |release| release.version().to_string()))
    }

    /// A client with the same keys and an empty release state.
    fn newcomer(&self) -> Outcome<Self> {
        let recipient = RecipientKey::generate()?;
        Ok(Self {
            key: self.key.clone(),
            anchor: self.anchor.clone(),
            memory: ReleaseState::default(),
            recipient,
        })
    }

    /// Checks a bundle at a time. Returns the accepted versions.
    fn check(&mut self, bundle: &[u8], now_ms: u64) -> Result<Vec<String>, CallError> {
        let mut check = || {
            let bundle = Bundle::decode(bundle)?;
            self.key.check(&bundle, &self.anchor, &mut self.memory, &CheckTime::at(now_ms))
        };
        let accepted = check().map_err(ClientError::Releases)?;
        Ok(accepted.releases().iter().map(|release| release.version().to_string()).collect())
    }
}

/// The index of the accepted release that the enclave runs.
fn statement(
    client: &ok2cry_client::http::Client,
    trust: &Trust,
    time: &CheckTime,
) -> Result<Option<usize>, CallError> {
    let nonce = ok2cry_protocol::ids::Nonce::new([7; 32]).map_err(ClientError::Record)?;
    let body = client.attestation(&nonce)?;
    Ok(trust.verify_statement(&nonce, &body, time)?.release())
}

impl Drill<'_> {
    fn first_release(&self, client: &mut Client) -> Outcome {
        step("The first release, 1.0.0. Enclaves of it run already; nothing is published yet.");
        refused("not_found", client.seal(self.old))?;
        let root = self.publisher.root(1, self.root_pem(), &BUILDERS)?;
        let manifest = self.publisher.manifest("1.0.0", self.old, &BUILDERS[..1])?;
        note("One of two builders has signed the manifest:");
        self.not_published("signatures_below_threshold", &["--root", &root, "--manifest", &manifest])?;
        self.publisher.sign_manifest(&manifest, self.old, BUILDERS[1])?;
        note("The second builder built it too, got the same, and signs:");
        self.publish(&["--root", &root, "--manifest", &manifest])?;
        sealed("1.0.0", client.seal(self.old))?;
        note("Another image, on the same host and under the same root certificate:");
        refused("release_not_listed", client.seal(self.impostor))
    }

    fn rollout_with_overlap(&self, client: &mut Client) -> Outcome {
        step("A rollout: 1.1.0 is listed beside 1.0.0 before the first enclave of it takes traffic.");
        refused("release_not_listed", client.seal(self.new))?;
        note("The second builder is given another image than the manifest's:");
        let manifest = self.publisher.manifest("1.1.0", self.new, &BUILDERS[..1])?;
        match self.publisher.sign_manifest(&manifest, self.impostor, BUILDERS[1]) {
            Err(error) if error.to_string().starts_with("refused: manifest_not_as_built") => {
                fact("not signed", &error.to_string());
            }
            other => return Err(format!("expected manifest_not_as_built, found {other:?}").into()),
        }
        self.publisher.sign_manifest(&manifest, self.new, BUILDERS[1])?;
        self.publish(&["--manifest", &manifest])?;
        sealed("1.0.0", client.seal(self.old))?;
        sealed("1.1.0", client.seal(self.new))
    }

    fn end_of_the_overlap(&self, client: &mut Client) -> Outcome {
        step("The last enclave of 1.0.0 is gone; 1.0.0 leaves the list. One was forgotten:");
        self.revoke(&["1.0.0"])?;
        refused("release_not_listed", client.seal(self.old))?;
        sealed("1.1.0", client.seal(self.new))
    }

    fn rollback(&self, client: &mut Client) -> Outcome {
        step("1.1.0 has a fault: back to 1.0.0, whose manifest is signed and in the log.");
        self.publish(&["--manifest", "1.0.0.json", "--revoke", "1.1.0"])?;
        sealed("1.0.0", client.seal(self.old))?;
        refused("release_not_listed", client.seal(self.new))
    }

    fn emergency(&self, client: &mut Client, overlap: &[u8]) -> Outcome {
        step(
            "An emergency: 1.0.0 leaks secrets. 1.1.0 is repaired by configuration; 1.0.0 is revoked for \
         good.",
        );
        let more = ["--manifest", "1.1.0.json", "--revoke", "1.0.0", "--minimum-version", "1.1.0"];
        self.publish(&more)?;
        refused("release_not_listed", client.seal(self.old))?;
        sealed("1.1.0", client.seal(self.new))?;
        note("The host goes on serving the bundle of the overlap, in which 1.0.0 is good:");
        let now_ms = CheckTime::system().now_ms;
        refused_check("log_rolled_back", client.check(overlap, now_ms))?;
        note("A new client cannot know. It can limit the age of lists, here to a day:");
        let mut newcomer = client.newcomer()?;
        newcomer.key = newcomer.key.with_max_list_age(Duration::from_hours(24));
        fact("a minute on", &format!("accepts {}", newcomer.check(overlap, now_ms + 60_000)?.join(" and ")));
        refused_check("list_too_old", client.newcomer_of(24)?.check(overlap, now_ms + 25 * HOUR_MS))?;
        refused_check(
            "list_expired",
            client.newcomer_of(24 * 365)?.check(overlap, now_ms + 8 * 24 * HOUR_MS),
        )?;
        note("Or require a minimum version, which it was shipped with:");
        let mut careful = client.newcomer()?;
        careful.key = careful.key.with_minimum_version(Version::new(1, 1, 0));
        let accepted = careful.check(overlap, now_ms)?;
        fact("accepts", &accepted.join(" and "));
        holds(accepted == ["1.1.0"], "1.0.0 is accepted below the minimum")
    }

    fn lost_builder(&self, client: &mut Client) -> Outcome {
        step("The second builder's key is lost. A third takes its place, by root document 2.");
        self.publisher.new_key("builder-3")?;
        let root = self.publisher.root(2, self.root_pem(), &[BUILDERS[0], "builder-3"])?;
        note("The lost key's signatures no longer count, so 1.1.0 is signed again:");
        self.not_published("signatures_below_threshold", &["--root", &root])?;
        self.publisher.sign_manifest("1.1.0.json", self.new, "builder-3")?;
        self.publish(&["--root", &root, "--revoke", "1.1.0", "--manifest", "1.1.0.json"])?;
        note("Clients keep the release key that they have:");
        sealed("1.1.0", client.seal(self.new))?;
        note("The thief of the key signs a manifest, alone:");
        let stolen = self.publisher.manifest("6.6.6", self.impostor, &["builder-2"])?;
        self.not_published("signature_key_unknown", &["--manifest", &stolen])
    }

    fn another_history(&self, client: &mut Client) -> Outcome {
        step(
            "All keys but the root's are stolen. The thief makes a log of its own, in which nothing was \
         revoked.",
        );
        let (site, kept) = (self.publisher.site(), self.publisher.folder().join("kept"));
        fs::rename(&site, &kept)?;
        self.publish(&["--root", "root-1.json", "--root", "root-2.json", "--manifest", "1.1.0.json"])?;
        for _ in 0..8 {
            self.publish(&[])?;
        }
        refused("log_forked", client.seal(self.new))?;
        note(
            "The two checkpoints, each signed by the log, are the proof. The host restores the genuine log:",
        );
        fs::remove_dir_all(&site)?;
        fs::rename(&kept, &site)?;
        sealed("1.1.0", client.seal(self.new))
    }

    fn auditor(&self) -> Outcome {
        step("An auditor reads all of it.");
        let root = self.root_pem().display().to_string();
        let keys = ["--key", "root-1.pub", "--key", "root-2.pub", "--threshold", "2"];
        let said = self
            .publisher
            .run(&[&["verify", "--attestation-root", &root], keys.as_slice(), &["site"]].concat())?;
        said.lines().filter(|line| !line.starts_with(' ')).for_each(|line| fact("auditor", line));
        fact("to anchor", self.publisher.run(&["checkpoint-hash", "site"])?.trim());
        Ok(())
    }

    fn publish(&self, more: &[&str]) -> Outcome {
        fact("published", &self.publisher.publish(self.root_pem(), more)?);
        Ok(())
    }

    fn revoke(&self, versions: &[&str]) -> Outcome {
        fact("published", &self.publisher.revoke(self.root_pem(), versions)?);
        Ok(())
    }

    fn not_published(&self, code: &str, more: &[&str]) -> Outcome {
        let before = fs::read(self.publisher.site().join("bundle.json")).ok();
        let error = match self.publisher.publish(self.root_pem(), more) {
            Err(error) => error.to_string(),
            Ok(said) => return Err(format!("expected {code}, but it was published: {said}").into()),
        };
        holds(error.starts_with(&format!("refused: {code}: ")), &error)?;
        fact("not published", error.trim_start_matches("refused: "));
        let after = fs::read(self.publisher.site().join("bundle.json")).ok();
        holds(before == after, "a refusal has changed what is published")
    }

    fn root_pem(&self) -> &Path {
        self.old.root_pem()
    }
}

impl Client {
    /// A newcomer that accepts lists of at most this age.
    fn newcomer_of(&self, hours: u64) -> Outcome<Self> {
        let newcomer = self.newcomer()?;
        Ok(Self { key: newcomer.key.clone().with_max_list_age(Duration::from_hours(hours)), ..newcomer })
    }
}

fn sealed(version: &str, result: Result<String, CallError>) -> Outcome {
    let found = result?;
    holds(found == version, &format!("expected an enclave of {version}, found {found}"))?;
    fact("client seals", &format!("to an enclave of {found}"));
    Ok(())
}

fn refused(code: &str, result: Result<String, CallError>) -> Outcome {
    refused_check(code, result.map(|version| vec![version]))
}

fn refused_check(code: &str, result: Result<Vec<String>, CallError>) -> Outcome {
    fact("client refuses", &format!("{code}: {}", refusal(code, result)?));
    Ok(())
}

fn holds(condition: bool, otherwise: &str) -> Outcome {
    if condition { Ok(()) } else { Err(HarnessError::new(otherwise).into()) }
}

fn step(text: &str) {
    println!("\n* {text}");
}

fn fact(name: &str, value: &str) {
    println!("    {name:<14} {value}");
}

fn note(text: &str) {
    println!("    {text}");
}
