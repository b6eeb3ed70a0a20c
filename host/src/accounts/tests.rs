use std::fs;
use std::time::{Duration, SystemTime};

use feige_core::stream::transfer::scram::{ClientExchange, MESSAGE_MAX, NONCE, ScramError, ServerExchange};
use tempfile::TempDir;

use super::file::{Change, parse_size};
use super::*;
use crate::exit::Exit;

/// The least that is allowed, so that tests are fast.
const FEW: u32 = 4096;

struct Place {
    folder: TempDir,
    path: PathBuf,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("users.toml");
        Self { folder, path }
    }

    fn with(text: &str) -> Self {
        let place = Self::new();
        fs::write(&place.path, text).expect("written");
        place
    }

    fn text(&self) -> String {
        fs::read_to_string(&self.path).expect("there")
    }

    fn add(&self, name: &str, password: &str, quota: Option<u64>) {
        let verifier = OwnedVerifier::new(password, FEW).expect("random octets");
        let mut change = Change::begin(&self.path, true).expect("a good file");
        change.set_verifier(name, &verifier).expect("set");
        change.set_quota(name, quota).expect("set");
        change.commit().expect("written");
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(&self.folder).expect("a folder").flatten().map(|entry| entry.file_name()).collect();
        names.sort();
        names.into_iter().map(|name| name.into_string().expect("UTF-8")).collect()
    }
}

/// What a client with this password learns from a server with this verifier.
fn sign_in(user: &str, password: &str, verifier: &OwnedVerifier) -> Result<(), ScramError> {
    let (mut to_server, mut to_client) = ([0; MESSAGE_MAX], [0; MESSAGE_MAX]);
    let nonces: [[u8; NONCE]; 2] = [random().expect("random octets"), random().expect("random octets")];
    let mut client = ClientExchange::new(user, &nonces[0])?;
    let mut server = ServerExchange::first(client.first(&mut to_server)?, &nonces[1])?;
    let challenge = server.challenge(&verifier.as_verifier(), &mut to_client)?;
    let proof = client.challenge(challenge, password, &mut to_server)?;
    client.confirm(server.finish(proof, &mut to_client)?)
}

#[test]
fn who_is_added_signs_in() {
    let place = Place::new();
    place.add("alice", "geheim", Some(10 << 30));
    place.add("bob", "密码", None);
    let accounts = Accounts::open(&place.path).expect("a good file");
    assert_eq!(sign_in("alice", "geheim", &accounts.verifier("alice")), Ok(()));
    assert_eq!(sign_in("Bob", "密码", &accounts.verifier("Bob")), Ok(()), "in any case of the name");
    assert_eq!(sign_in("alice", "密码", &accounts.verifier("alice")), Err(ScramError::WrongProof));
    let alice = accounts.account("ALICE").expect("there");
    assert_eq!((alice.quota, alice.home.as_str(), alice.disabled), (Some(10 << 30), "alice", false));
    assert_eq!(accounts.account("bob").expect("there").quota, None);
    assert_ne!(accounts.verifier("alice").salt, accounts.verifier("bob").salt);

    let text = place.text();
    assert!(
        text.starts_with("# The accounts")
            && text.contains("\n\n[users.alice]\nsalt = ")
            && text.contains("quota = \"10 GiB\"\n"),
        "{text}"
    );
    assert!(!text.contains("geheim") && !text.contains("密码"), "{text}");
    assert_eq!(place.names(), ["users.toml"], "nothing else is left");
}

#[test]
fn unknown_users_look_like_known_ones() {
    let place = Place::new();
    place.add("alice", "geheim", None);
    let accounts = Accounts::open(&place.path).expect("a good file");
    let (known, unknown) = (accounts.verifier("alice"), accounts.verifier("mallory"));
    assert_eq!(known.iterations, unknown.iterations);
    assert_eq!(known.salt.len(), unknown.salt.len());
    assert_eq!(unknown, accounts.verifier("MALLORY"), "as a known one, in any case");
    assert_ne!(unknown.salt, accounts.verifier("malory").salt);
    for password in ["", "geheim", "guest"] {
        assert_eq!(sign_in("mallory", password, &unknown), Err(ScramError::WrongProof));
    }
    // Whoever could see the made-up salt change when the server starts again would know.
    assert_eq!(unknown, Accounts::open(&place.path).expect("a good file").verifier("mallory"));
    place.add("carol", "x", None);
    assert_eq!(unknown, Accounts::open(&place.path).expect("a good file").verifier("mallory"));

    // Without a secret in the file, there is one for as long as the server runs.
    let empty = Place::with("");
    let accounts = Accounts::open(&empty.path).expect("a good file");
    assert_eq!(accounts.verifier("alice"), accounts.verifier("alice"));
    assert_eq!(accounts.verifier("alice").iterations, ITERATIONS);
    assert_ne!(accounts.verifier("alice"), Accounts::open(&empty.path).expect("a good file").verifier("alice"));
}

#[test]
fn made_up_accounts_are_hashed_as_often_as_most() {
    let place = Place::new();
    for (name, iterations) in [("a", 5000), ("b", 9000), ("c", 5000)] {
        let mut change = Change::begin(&place.path, true).expect("a good file");
        change.set_verifier(name, &OwnedVerifier::new("x", iterations).expect("random octets")).expect("set");
        change.commit().expect("written");
    }
    assert_eq!(Accounts::open(&place.path).expect("a good file").verifier("nobody").iterations, 5000);
}

#[test]
fn what_people_wrote_stays() {
    let place = Place::new();
    place.add("alice", "one", Some(5000));
    place.add("bob", "two", None);
    let edited = place
        .text()
        .replace("[users.bob]", "# our printer\n[users.bob] # second floor\ndisabled = true\nhome = 'devices/printer'");
    fs::write(&place.path, format!("# keep me\n{edited}\n# the end\n")).expect("written");
    place.add("bob", "three", Some(1 << 20));
    place.add("carol", "four", None);
    let mut change = Change::begin(&place.path, false).expect("a good file");
    change.remove("alice").expect("there");
    change.commit().expect("written");

    let text = place.text();
    for kept in
        ["# keep me\n", "# our printer\n[users.bob] # second floor\n", "home = 'devices/printer'\n", "\n# the end\n"]
    {
        assert!(text.contains(kept), "{kept} in {text}");
    }
    let accounts = Accounts::open(&place.path).expect("a good file");
    assert!(accounts.account("alice").is_none());
    let bob = accounts.account("bob").expect("there");
    assert_eq!((bob.quota, bob.home.as_str(), bob.disabled), (Some(1 << 20), "devices/printer", true));
    assert_eq!(sign_in("bob", "three", &bob.verifier), Ok(()));
    assert_eq!(sign_in("carol", "four", &accounts.verifier("carol")), Ok(()));
}

#[test]
fn tables_in_one_line_are_tables_too() {
    let place = Place::new();
    place.add("alice", "one", None);
    let text = place.text();
    let fields: Vec<_> = text.lines().skip_while(|line| !line.starts_with("salt")).collect();
    fs::write(&place.path, format!("users = {{ alice = {{ {} }} }}\n", fields.join(", "))).expect("written");
    place.add("bob", "two", Some(7));
    let accounts = Accounts::open(&place.path).expect("a good file");
    assert_eq!(sign_in("alice", "one", &accounts.verifier("alice")), Ok(()));
    assert_eq!(sign_in("bob", "two", &accounts.verifier("bob")), Ok(()));
}

const KEY: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

fn account(name: &str) -> String {
    format!(
        "[users.{name}]\nsalt = 'AAAAAAAAAAAAAAAAAAAAAA=='\niterations = 4096\nstored_key = '{KEY}'\nserver_key = '{KEY}'\n"
    )
}

#[test]
fn errors_name_file_and_line() {
    let good = account("alice");
    assert!(Accounts::open(&Place::with(&good).path).is_ok());
    for (text, line, says) in [
        ("[users.alice\n".into(), 1, ""),
        (good.replace("4096", "4095"), 3, "alice: iterations must be 4096 to 600000"),
        (good.replace("4096", "600001"), 3, "iterations must be"),
        (good.replace("4096", "'many'"), 3, "invalid type"),
        (good.replace("4096", "-1"), 3, ""),
        (good.replace("iterations = 4096\n", ""), 1, "missing field `iterations`"),
        (good.replace("'AAAAAAAAAAAAAAAAAAAAAA=='", "'AAAA'"), 2, "alice: salt must be 8 to 32 octets"),
        (good.replace("'AAAAAAAAAAAAAAAAAAAAAA=='", "'?'"), 2, "salt must be"),
        (good.replacen(KEY, "AAAA", 1), 4, "alice: stored_key must be 32 octets"),
        (good.replacen("server_key = '", "server_key = 'A", 1), 5, "alice: server_key must be 32 octets"),
        (format!("{good}quota = 'much'\n"), 6, "alice: `much` is no size"),
        (format!("{good}quota = -1\n"), 6, "a quota is"),
        (format!("{good}quota = 1.5\n"), 6, "a quota is"),
        (format!("{good}home = '../bob'\n"), 6, "alice: home: a name in the path is not allowed"),
        (format!("{good}home = 'a\\b'\n"), 6, "alice: home"),
        (format!("{good}disabled = 'no'\n"), 6, "invalid type"),
        (format!("{good}password = 'geheim'\n"), 6, "unknown field `password`"),
        (format!("{good}{}", account("Bob")), 6, "lower case: [users.bob]"),
        (format!("{good}{}", account("guest")), 6, "`guest`"),
        (format!("{good}{}", account("'../up'")), 6, "a user's name has"),
        (format!("{good}{}", account("con")), 6, "cannot be a folder's name"),
        (format!("{good}{good}"), 6, "duplicate key"),
        (format!("\n\ndecoy_secret = 'AAAA'\n{good}"), 3, "decoy_secret must be 32 octets"),
        ("people = 1\n".into(), 1, "unknown field `people`"),
        ("users = 1\n".into(), 1, "invalid type"),
    ] {
        let place = Place::with(&text);
        let failure = Accounts::open(&place.path).expect_err(&text);
        assert_eq!(failure.exit, Exit::Usage);
        let front = format!("{}:{line}: ", place.path.display());
        let what =
            failure.message.strip_prefix(&front).unwrap_or_else(|| panic!("{failure} is not at {front}\n{text}"));
        assert!(what.contains(says), "{failure}\n{text}");
        assert!(!what.contains('\n'), "{failure}");
        assert!(!what.contains("geheim"), "{failure}");
        // Nor is it changed.
        assert_eq!(Change::begin(&place.path, true).map(drop), Err(failure));
        assert_eq!(place.text(), text);
    }
    let missing = Accounts::open(&Place::new().path).expect_err("there is none");
    assert!(missing.exit == Exit::Usage && missing.message.contains("`feige user add` makes one"), "{missing}");
    let folder = Place::new();
    assert_eq!(Accounts::open(folder.folder.path()).expect_err("a folder").exit, Exit::Usage);
}

#[test]
fn a_running_server_takes_notice() {
    let place = Place::new();
    place.add("alice", "one", None);
    let mut accounts = Accounts::open(&place.path).expect("a good file");
    assert_eq!(accounts.refresh(), Ok(false));
    place.add("bob", "two", None);
    assert!(accounts.account("bob").is_none(), "not yet");
    assert_eq!(accounts.refresh(), Ok(true));
    assert_eq!(accounts.refresh(), Ok(false));
    assert!(accounts.account("bob").is_some());

    // Edited in place, to the same length.
    let text = place.text();
    fs::write(&place.path, text.replace("[users.bob]", "[users.bib]")).expect("written");
    let file = fs::File::options().write(true).open(&place.path).expect("there");
    file.set_modified(SystemTime::now() + Duration::from_secs(1)).expect("set");
    assert_eq!(accounts.refresh(), Ok(true));
    assert!(accounts.account("bob").is_none() && accounts.account("bib").is_some());

    // Broken, told once, and right again.
    fs::write(&place.path, "[users.alice\n").expect("written");
    let failure = accounts.refresh().expect_err("not TOML");
    assert!(failure.message.contains("users.toml:1: ") && failure.message.contains("stay as they were"), "{failure}");
    assert_eq!(accounts.refresh(), Ok(false));
    assert!(accounts.account("alice").is_some());
    fs::remove_file(&place.path).expect("there");
    assert!(accounts.refresh().is_err());
    assert_eq!(accounts.refresh(), Ok(false));
    fs::write(&place.path, text).expect("written");
    assert_eq!(accounts.refresh(), Ok(true));
    assert!(accounts.account("bob").is_some());
}

#[test]
fn changes_at_once_are_all_made() {
    let place = Place::new();
    std::thread::scope(|scope| {
        for number in 0..16 {
            let place = &place;
            scope.spawn(move || place.add(&format!("user{number}"), "x", None));
        }
    });
    let accounts = Accounts::open(&place.path).expect("a good file");
    assert!((0..16).all(|number| accounts.account(&format!("user{number}")).is_some()), "{}", place.text());
    assert_eq!(place.names(), ["users.toml"]);
}

#[test]
fn a_change_that_is_given_up_leaves_no_trace() {
    let place = Place::new();
    assert_eq!(Change::begin(&place.path, false).expect_err("there is none").exit, Exit::Usage);
    let mut change = Change::begin(&place.path, true).expect("made");
    for failure in [change.remove("alice"), change.set_quota("alice", None)] {
        let failure = failure.expect_err("there is none");
        assert!(failure.exit == Exit::Failed && failure.message.contains("no user `alice`"), "{failure}");
    }
    drop(change);
    assert!(place.names().is_empty());

    place.add("alice", "one", None);
    let text = place.text();
    let mut change = Change::begin(&place.path, true).expect("a good file");
    change.remove("alice").expect("there");
    drop(change);
    assert_eq!(place.text(), text);
}

#[test]
fn only_the_owner_can_read_it() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let place = Place::new();
    let mode = || fs::metadata(&place.path).expect("there").permissions().mode() & 0o777;
    place.add("alice", "one", None);
    assert_eq!(mode(), 0o600);
    fs::set_permissions(&place.path, fs::Permissions::from_mode(0o644)).expect("set");
    place.add("bob", "two", None);
    assert_eq!(mode(), 0o600);

    // A link stays a link, and what it leads to is changed.
    let link = place.folder.path().join("link.toml");
    symlink("users.toml", &link).expect("made");
    let mut change = Change::begin(&link, true).expect("a good file");
    change.remove("bob").expect("there");
    change.commit().expect("written");
    assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
    assert!(!place.text().contains("bob"));
}

/// An administrator changes the file of a server that runs under its own account.
#[test]
fn the_owner_stays_the_owner() {
    use std::os::unix::fs::{MetadataExt, chown};
    let place = Place::new();
    place.add("alice", "one", None);
    if chown(&place.path, Some(12_345), Some(12_346)).is_err() {
        eprintln!("skipped: only root can give files away");
        return;
    }
    place.add("bob", "two", None);
    let owner = fs::metadata(&place.path).expect("there");
    assert_eq!((owner.uid(), owner.gid()), (12_345, 12_346));
}

#[test]
fn names_are_plain() {
    for (name, right) in [("alice", "alice"), ("Alice", "alice"), ("a", "a"), ("7", "7"), ("a.b-c_d", "a.b-c_d")] {
        assert_eq!(user_name(name).as_deref(), Ok(right));
    }
    assert!(user_name(&"x".repeat(LONGEST_NAME)).is_ok());
    let long = "x".repeat(LONGEST_NAME + 1);
    for name in [
        "", ".", "..", ".a", "-a", "_a", "a.", "a/b", "a\\b", "a b", "é", "a\0", "con", "LPT1.x", "guest", "Guest",
        &long,
    ] {
        assert!(user_name(name).is_err(), "{name}");
    }
}

#[test]
fn sizes_have_units() {
    for (text, octets) in [
        ("0", 0),
        ("4096", 4096),
        ("10GiB", 10 << 30),
        ("10 GiB", 10 << 30),
        (" 1.5 KiB ", 1536),
        ("500MB", 500_000_000),
        ("2T", 2_000_000_000_000),
        ("7B", 7),
    ] {
        assert_eq!(parse_size(text), Ok(octets), "{text}");
    }
    for text in ["", "GiB", "-1", "1 GiB more", "1.2.3 MB", "ten", "0x10"] {
        assert!(parse_size(text).is_err(), "{text}");
    }
}
