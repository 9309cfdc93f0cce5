//! `make demo`: a card PIN from a browser to its issuer on one machine, with real processes and a mock NSM.
//! Prints each step and what it proves, then serves the same as a web page.

use ok2cry_attest_verify::{CheckTime, TrustAnchor};
use ok2cry_client::{
    Expected, KeyRequest, Message, RecipientKey, ReplaySet, Trust, VerifiedKey,
    http::{CallError, Client},
    measurements::from_nitro_cli_json,
    sealed_reply,
};
use ok2cry_demo::{
    site::{DemoSite, Parties},
    verdict::refusal,
};
use ok2cry_protocol::{http::SealedBody, ids::Purpose, rpc::KeyState};
use ok2cry_release_verify::ReleaseState;
use ok2cry_testkit::{
    Deployment, Options, Publisher, any_hpke, eventually, image::machine_folder, publisher::BUILDERS,
    raw_http,
};
use std::{
    error::Error,
    fs,
    io::{self, Read as _},
    process::ExitCode,
    thread,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

const PIN: &[u8] = b"4931";
const ORDER: &[u8] = b"order 17";
const PURPOSE: &str = "card-pin";

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

fn main() -> ExitCode {
    let once = std::env::var("DEMO_ONCE").is_ok_and(|v| !v.is_empty() && v != "0");
    match run(once) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nthe demo failed: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(once: bool) -> Outcome {
    println!("ok2cry: a card PIN from a browser to its issuer, through companies that cannot read it");
    let publisher = Publisher::new()?;
    let deployment = Deployment::start(Options {
        mock_root: Some(publisher.folder().join("mock-root.pem")),
        release_site: Some(publisher.site()),
        ..Options::default()
    })?;
    let client = deployment.client();

    step(match machine_folder() {
        Some(_) => "An enclave image runs in an emulated machine (QEMU), and its parent beside it.",
        None => "An enclave (mock NSM) and its parent run as two processes.",
    });
    fact("parent", deployment.url());
    fact("release", &first_pcr(&deployment)?);
    let recipient = RecipientKey::generate()?;
    note("The card issuer made a key pair. All others have its public half only.");
    let trust = follow_the_releases(&client, &publisher, &deployment)?;

    let key = issue_and_verify(&client, &trust, &recipient)?;
    let spare = key.descriptor().clone();
    let message = seal(key)?;
    let reply = open_and_read(&client, &trust, &recipient, &message)?;
    second_message_is_refused(&client, &spare)?;
    same_request_gets_the_same_reply(&client, &trust, &recipient, &message, &reply)?;
    wrong_order_is_refused(&client, &trust, &recipient)?;
    expired_key_never_opens(&client, &trust, &recipient)?;
    let impostor = impostor_is_refused(&trust, &publisher, &deployment, &recipient)?;
    let site = serve_the_page(trust, &publisher, &deployment, &impostor)?;

    if once {
        println!("\nAll of it held.");
        return Ok(());
    }
    println!("\nAll of it held. In a browser you pay yourself, and let the host cheat:\n");
    println!("    {}/\n", site.url());
    show_commands(&publisher, &deployment)?;
    wait_for_end()
}

fn follow_the_releases(client: &Client, publisher: &Publisher, deployment: &Deployment) -> Outcome<Trust> {
    step(
        "Two builders sign what the enclave measures, and it is listed and logged. Clients hold a release \
         key.",
    );
    let root = publisher.root(1, deployment.root_pem(), &BUILDERS)?;
    let manifest = publisher.manifest("1.0.0", deployment, &BUILDERS)?;
    fact(
        "published",
        &publisher.publish(deployment.root_pem(), &["--root", &root, "--manifest", &manifest])?,
    );
    let (anchor, mut memory) = (deployment.anchor()?, ReleaseState::default());
    let releases = client.releases(&publisher.release_key()?, &anchor, &mut memory, &CheckTime::system())?;
    for release in releases.releases() {
        fact("accepted", &format!("{} {}", releases.list().product, release.version()));
    }
    proves(
        "two root keys, two builders, a list that is not old, and a log that holds all of it: what is \
         accepted can change without a change to clients, and not without a trace",
    );
    Ok(Trust::from_releases(anchor, &releases)?)
}

fn issue_and_verify(client: &Client, trust: &Trust, recipient: &RecipientKey) -> Outcome<VerifiedKey> {
    step(
        "The browser asks for a key for this PIN, for a minute, readable by the issuer alone; and verifies \
         it.",
    );
    let request = KeyRequest::new(PURPOSE, std::time::Duration::from_secs(60), recipient.public_key())?;
    let key = one(client.issue(request, trust, &CheckTime::system())?)?;
    fact("key", &key.key_id().to_base64url());
    fact("enclave", &key.instance().to_string());
    proves(
        "the private key was made inside an enclave that runs exactly this release, for this request, this \
         purpose, this recipient and this minute: five certificates, one document, one Merkle path",
    );
    Ok(key)
}

fn seal(key: VerifiedKey) -> Outcome<ok2cry_client::SealedMessage> {
    step("It seals the PIN. This is what the merchant, the processor and the parent get to see:");
    let message = key.seal(&Message { plaintext: PIN, aad: ORDER }, &CheckTime::system())?;
    fact("ciphertext", &hex(&message.ciphertext));
    fact("aad", &String::from_utf8_lossy(&message.aad));
    proves(
        "only the key in the enclave opens this; sealing used the verified key up (a type error otherwise)",
    );
    Ok(message)
}

fn open_and_read(
    client: &Client,
    trust: &Trust,
    recipient: &RecipientKey,
    message: &ok2cry_client::SealedMessage,
) -> Outcome<SealedBody> {
    step("The issuer has it opened through the parent, and reads the reply.");
    let reply = sealed_reply(client.open(message)?)?;
    let purpose = Purpose::new(PURPOSE)?;
    let expected = Expected { purpose: &purpose, aad: ORDER };
    let opened = recipient.open(&reply, &expected, trust, &CheckTime::system(), &mut ReplaySet::default())?;
    if opened.plaintext.as_slice() != PIN {
        return Err("the reply holds another PIN".into());
    }
    fact("PIN", &String::from_utf8_lossy(&opened.plaintext));
    proves(
        "an enclave of this release opened it and sealed it to the issuer: the parent carried two \
         ciphertexts",
    );
    Ok(reply)
}

fn second_message_is_refused(
    client: &Client,
    descriptor: &ok2cry_protocol::Encoded<ok2cry_protocol::descriptor::KeyDescriptor>,
) -> Outcome {
    step("An attacker seals a second message to the same key (any HPKE library can).");
    let second = any_hpke::seal(descriptor, b"0000", ORDER)?;
    refused("key_used", client.open(&second).map(drop))?;
    if client.state(descriptor.key_id)? != KeyState::Used {
        return Err("the key is not used".into());
    }
    proves("a key opens one message; its private half was overwritten when the first one opened");
    Ok(())
}

fn same_request_gets_the_same_reply(
    client: &Client,
    trust: &Trust,
    recipient: &RecipientKey,
    message: &ok2cry_client::SealedMessage,
    first: &SealedBody,
) -> Outcome {
    step("The first request is sent again, as after a timeout.");
    let again = sealed_reply(client.open(message)?)?;
    if again.reply != first.reply {
        return Err("the replies differ".into());
    }
    fact("reply", "the same bytes");
    let purpose = Purpose::new(PURPOSE)?;
    let expected = Expected { purpose: &purpose, aad: ORDER };
    let (time, mut seen) = (CheckTime::system(), ReplaySet::default());
    recipient.open(first, &expected, trust, &time, &mut seen)?;
    let again = recipient.open(&again, &expected, trust, &time, &mut seen);
    refused_locally("reply_replayed", again.map_err(ok2cry_client::Error::from))?;
    proves("a retry is safe, and a recipient that remembers acts once");
    Ok(())
}

fn wrong_order_is_refused(client: &Client, trust: &Trust, recipient: &RecipientKey) -> Outcome {
    step("A merchant attaches another customer's PIN to its own order.");
    let request = KeyRequest::new(PURPOSE, std::time::Duration::from_secs(60), recipient.public_key())?;
    let key = one(client.issue(request, trust, &CheckTime::system())?)?;
    let mut message = key.seal(&Message { plaintext: PIN, aad: ORDER }, &CheckTime::system())?;
    message.aad = b"order 18".to_vec();
    refused("open_failed", client.open(&message).map(drop))?;
    proves("a message opens in the context that it was sealed for, or not at all");
    client.destroy(message.key_id)?;
    Ok(())
}

fn expired_key_never_opens(client: &Client, trust: &Trust, recipient: &RecipientKey) -> Outcome {
    // An emulated processor is slow.
    let ttl_ms = if machine_folder().is_some() { 5000 } else { 300 };
    step(&format!("A key lives for {ttl_ms} ms, and the message comes too late."));
    let request = KeyRequest::new(PURPOSE, std::time::Duration::from_millis(ttl_ms), recipient.public_key())?;
    let key = one(client.issue(request, trust, &CheckTime::system())?)?;
    let message = key.seal(&Message { plaintext: PIN, aad: ORDER }, &CheckTime::system())?;
    eventually("the key has expired", || {
        client.state(message.key_id).ok().filter(|s| *s == KeyState::Expired)
    });
    refused("key_expired", client.open(&message).map(drop))?;
    proves("after its deadline a key opens nothing, not even inside the enclave");
    Ok(())
}

fn impostor_is_refused(
    trust: &Trust,
    publisher: &Publisher,
    genuine: &Deployment,
    recipient: &RecipientKey,
) -> Outcome<Deployment> {
    step("The host starts another image and answers with its keys.");
    let impostor = Deployment::start(Options {
        image_name: "ok2cry-enclave-with-a-backdoor".into(),
        mock_root: Some(publisher.folder().join("mock-root.pem")),
        ..Options::default()
    })?;
    let ask = |trust: &Trust| {
        let request = KeyRequest::new(PURPOSE, std::time::Duration::from_secs(60), recipient.public_key())?;
        impostor.client().issue(request, trust, &CheckTime::system()).map(drop)
    };
    refused("release_not_listed", ask(trust))?;
    note("The verdict of a client that holds AWS's root, as all do in production:");
    let release = from_nitro_cli_json(&fs::read_to_string(genuine.measurements())?)?;
    refused("root_not_trusted", ask(&Trust::new(TrustAnchor::aws_nitro(), [release])?))?;
    proves("another image, or a mock where AWS is expected: nothing is sealed to either");
    Ok(impostor)
}

fn serve_the_page(
    trust: Trust,
    publisher: &Publisher,
    genuine: &Deployment,
    impostor: &Deployment,
) -> Outcome<DemoSite> {
    step("A shop's page does all this in a browser: it checks, shows what it checked, encrypts and pays.");
    // The list that a cheating host goes on serving when there is a newer one.
    let old_releases = raw_http::request(genuine.url(), "GET", "/v1/release", &[], b"")?.body;
    publisher.publish(genuine.root_pem(), &[])?;
    let release_keys = (2, publisher.release_key_pems()?);
    let emulated = machine_folder().is_some();
    let port = match std::env::var("DEMO_PORT") {
        Ok(port) if !port.is_empty() => {
            Some(port.parse().map_err(|_| format!("DEMO_PORT must be a port number: {port}"))?)
        }
        _ => None,
    };
    let parties = Parties { genuine, impostor, release_keys, old_releases, trust, emulated };
    let site = DemoSite::start(parties, port)?;
    fact("page", &format!("{}/", site.url()));
    let kib = site.fetch()?.div_ceil(1024);
    proves(&format!(
        "{kib} KiB without a framework, built from demo/page and compared by CI; a browser that verifies \
         needs no more"
    ));
    Ok(site)
}

fn show_commands(publisher: &Publisher, deployment: &Deployment) -> Outcome {
    let program = std::env::current_exe()?;
    let bin = program.parent().unwrap_or(&program).join("ok2cry");
    println!("Or in another terminal:\n");
    println!("  export OK2CRY_URL={}", deployment.url());
    println!("  export OK2CRY_ROOT={}", deployment.root_pem().display());
    let keys = ["root-1.pub", "root-2.pub"].map(|name| publisher.folder().join(name).display().to_string());
    println!("  export OK2CRY_RELEASE_KEY={}", keys.join(","));
    println!("  alias ok2cry={}\n", bin.display());
    println!("  ok2cry releases                                # what this key stands for now");
    println!("  ok2cry attest                                  # an accepted enclave answers");
    println!("  ok2cry recipient new issuer.pem > issuer.pub");
    println!(
        "  printf 4931 | ok2cry seal --purpose card-pin --aad 'order 17' --recipient $(cat issuer.pub) \
         > message.json"
    );
    println!(
        "  ok2cry open message.json --recipient-key issuer.pem --purpose card-pin --aad 'order 17' \
         --seen seen"
    );
    println!("  curl $OK2CRY_URL/openapi.json                  # or {}/docs in a browser", deployment.url());
    println!(
        "  curl -i $OK2CRY_URL/v1/keys -H 'content-type: application/json' -d '{{\"nonce\": \"AAAA\"}}'\n"
    );
    println!("End with Enter or Ctrl-C.");
    Ok(())
}

/// Waits for Enter or a termination signal, so that the demo's processes and folders are removed. Without a
/// terminal only a signal ends it.
fn wait_for_end() -> Outcome {
    let (entered, enter) = oneshot::channel();
    thread::spawn(move || match io::stdin().read(&mut [0]) {
        Ok(1..) => entered.send(()),
        Ok(0) | Err(_) => Ok(()),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut hang_up = signal(SignalKind::hangup())?;
        tokio::select! {
            Ok(()) = enter => {}
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
        Ok(())
    })
}

fn one<T>(keys: Vec<T>) -> Outcome<T> {
    keys.into_iter().next().ok_or_else(|| "the response holds no keys".into())
}

fn refused(code: &str, result: Result<(), CallError>) -> Outcome {
    fact("refused", &format!("{code}: {}", refusal(code, result)?));
    Ok(())
}

fn refused_locally<T>(code: &str, result: Result<T, ok2cry_client::Error>) -> Outcome {
    refused(code, result.map(drop).map_err(CallError::from))
}

fn first_pcr(deployment: &Deployment) -> Outcome<String> {
    let release = from_nitro_cli_json(&fs::read_to_string(deployment.measurements())?)?;
    let pcr0 = release.iter().next().ok_or("no PCR0")?.1;
    let whose = if machine_folder().is_some() { "" } else { " (a mock's: it measures nothing)" };
    Ok(format!("PCR0 {}…{whose}", hex(pcr0.split_at(12).0)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn step(text: &str) {
    println!();
    wrapped("* ", "  ", text);
}

fn fact(name: &str, value: &str) {
    wrapped(&format!("    {name:<11} "), "                ", value);
}

fn note(text: &str) {
    wrapped("    ", "    ", text);
}

fn proves(text: &str) {
    wrapped("    => ", "       ", text);
}

/// Prints `text` in lines of at most 100 columns.
fn wrapped(first: &str, next: &str, text: &str) {
    let mut line = first.to_owned();
    let mut begun = false;
    for word in text.split(' ') {
        if begun && line.len() + 1 + word.len() > 100 {
            println!("{line}");
            line = next.to_owned();
            begun = false;
        }
        if begun {
            line.push(' ');
        }
        line.push_str(word);
        begun = true;
    }
    println!("{line}");
}
