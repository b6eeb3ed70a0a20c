use super::*;
use std::fs;

const J: &str = "# Everybody\n[Peer-0]\nip_addr = 127.0.0.1\nserver_port = 10801\nclient_port = 10802\n\
    share_dir = share/0\npeer_list = [1, 2]\n\n; the second one\n[Peer-1]\nip_addr=127.0.0.1\nserver_port=10803\n\
    client_port=10804\nshare_dir=share/1\npeer_list=[0]\n\n[Peer-2]\nip_addr = 127.0.0.1\nserver_port : 10805\n\
    client_port = 10806\nshare_dir = share/2\npeer_list = []\n# the end";

const C: &str = "[Peer-0]\nID = 7\nip_addr = 127.0.0.1\nport_number = 10810\nshare_dir = ./文件 夹\nttl = 3\n\n\
    # those\n[Netpeers]\npeer_ID = [2, 5]\npeer_addr = [127.0.0.1, 10.0.0.2]\npeer_ports = [10811, 10812]\n";

const TOML: &str = "# mine\nnick = 'Alice'\n\n[listen]\nonce = true\n\n[peer] # the peer\nlisten = '127.0.0.1:4000' # where\n\
    share = 'share'\nttl = 3\nneighbour = ['10.0.0.1:2426', '10.0.0.2:10801/J'] # two\nnetwork = ['10.0.0.0/8']\n\
    # future = 1\n";

fn read(text: &str, id: Option<u32>) -> Result<SettingsFile, String> {
    SettingsFile::parse(Path::new("p.ini"), text.to_owned(), id).map_err(|error| error.to_string())
}

fn told(neighbours: &[Neighbour]) -> String {
    neighbours.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

#[test]
fn neighbours_in_words() {
    for text in ["10.0.0.1:2426", "10.0.0.1:2426/native", "127.0.0.1:1/j", "192.168.0.1:65535/c"] {
        assert_eq!(text.parse::<Neighbour>().unwrap().to_string(), text);
    }
    for text in [
        "",
        "10.0.0.1",
        "10.0.0.1:",
        "10.0.0.1:0",
        "10.0.0.1:65536",
        "x:1",
        "10.0.0.1:1/",
        "10.0.0.1:1/x",
        "0.0.0.0:1",
        "255.255.255.255:1",
        "224.0.0.1:1",
        "[::1]:1",
        " 10.0.0.1:1",
        "10.0.0.1:1/j/c",
    ] {
        assert!(text.parse::<Neighbour>().is_err(), "{text:?}");
    }
}

#[test]
fn all_three_forms_are_told_apart_and_read() {
    let file = read(J, Some(0)).unwrap();
    let settings = file.settings();
    assert_eq!((file.form(), settings.id, settings.ttl), (Form::J, Some(0), 5));
    assert_eq!(settings.listen, "127.0.0.1:10801".parse().unwrap());
    assert_eq!(settings.share, Path::new("share/0"));
    assert_eq!(told(&settings.neighbours), "127.0.0.1:10803/j 127.0.0.1:10805/j");
    assert_eq!(read(J, Some(2)).unwrap().settings().neighbours, []);

    for id in [None, Some(7)] {
        let file = read(C, id).unwrap();
        let settings = file.settings();
        assert_eq!((file.form(), settings.id, settings.ttl), (Form::C, Some(7), 3));
        assert_eq!(settings.share, Path::new("./文件 夹"));
        assert_eq!(told(&settings.neighbours), "127.0.0.1:10811/c 10.0.0.2:10812/c");
    }

    let file = read(TOML, None).unwrap();
    let settings = file.settings();
    assert_eq!((file.form(), settings.id, settings.ttl), (Form::Toml, None, 3));
    assert_eq!(settings.listen, "127.0.0.1:4000".parse().unwrap());
    assert_eq!(told(&settings.neighbours), "10.0.0.1:2426 10.0.0.2:10801/j");
    assert_eq!(settings.networks, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(read("", None).unwrap().settings(), &Settings::default());
    assert_eq!(read("[listen]\nonce = true\n", None).unwrap().settings(), &Settings::default(), "of another command");
    assert_eq!(read("ttl = 1\nid = 4\n", None).unwrap().settings().id, Some(4));
    for text in [J, C] {
        let with_mark = format!("\u{feff}{}", text.replace('\n', "\r\n"));
        let id = Some(if text == J { 0 } else { 7 });
        assert_eq!(read(&with_mark, id).unwrap().settings(), read(text, id).unwrap().settings());
    }
}

/// Every change leaves every other line as it was, and a file that says what was meant.
#[test]
fn a_change_changes_one_line() {
    for (text, id) in [(J, Some(0)), (J, Some(1)), (J, Some(2)), (C, None), (TOML, None)] {
        for text in [text.to_owned(), text.replace('\n', "\r\n"), format!("{text}\n")] {
            for (key, value) in [
                ("ttl", "2"),
                ("share", "other folder"),
                ("share", "50% off"),
                ("listen", "127.0.0.1:4321"),
                ("network", "10.0.0.0/8, 192.168.0.0/16"),
                ("max-connections", "9"),
                ("max-size", "2GiB"),
            ] {
                let mut file = read(&text, id).unwrap();
                let before = file.settings().clone();
                let after = file.modify(key, value).unwrap().clone();
                let mut expected = before.clone();
                match key {
                    "ttl" => expected.ttl = 2,
                    "share" => expected.share = value.into(),
                    "listen" => expected.listen = value.parse().unwrap(),
                    "network" => {
                        expected.networks = vec!["10.0.0.0/8".parse().unwrap(), "192.168.0.0/16".parse().unwrap()];
                    }
                    "max-size" => expected.max_size = ByteSize::gib(2),
                    _ => expected.max_connections = 9,
                }
                assert_eq!(after, expected, "{key}");
                assert_eq!(read(file.text(), id).unwrap().settings(), &expected);
                assert_eq!(text.contains("\r\n"), file.text().contains("\r\n"));
                let lone = file.text().replace("\r\n", "").contains(['\r', '\n']);
                assert!(!(text.contains("\r\n") && lone), "{:?}", file.text());
                let lost: Vec<_> = text.lines().filter(|line| !file.text().lines().any(|kept| kept == *line)).collect();
                let most = if key == "listen" && text != TOML { 2 } else { 1 };
                assert!(lost.len() <= most, "{key}: {lost:?}");
                // The other peers of the file are what they were, the last one above all.
                for other in (0..3).filter(|other| file.form() == Form::J && Some(*other) != id) {
                    let [was, is] =
                        [&*text, file.text()].map(|text| read(text, Some(other)).unwrap().settings().clone());
                    assert_eq!((was.listen, was.share, was.ttl), (is.listen, is.share, is.ttl), "{key} of {other}");
                }
            }
        }
    }
}

#[test]
fn neighbours_are_changed_in_the_manner_of_the_file() {
    let mut file = read(J, Some(2)).unwrap();
    assert_eq!(told(&file.modify("neighbour", "127.0.0.1:10801 127.0.0.1:10803/j").unwrap().neighbours).len(), 35);
    assert!(file.text().contains("share_dir = share/2\npeer_list = [0, 1]\n# the end"), "{}", file.text());
    assert_eq!(file.modify("peer_list", "[1]").unwrap().neighbours.len(), 1);
    for (value, expected) in
        [("10.0.0.9:1", "no peer of the file"), ("127.0.0.1:10801/c", "can only have /j"), ("x", "no neighbour")]
    {
        let error = file.modify("neighbour", value).unwrap_err().to_string();
        assert!(error.starts_with("p.ini:") && error.contains(expected), "{error}");
    }
    assert!(file.modify("peer_list", "[1, 9]").unwrap_err().to_string().contains("no [Peer-9]"));
    assert_eq!(file.settings().neighbours.len(), 1, "nothing changed");

    let mut file = read(C, None).unwrap();
    file.modify("neighbour", "10.0.0.2:10812, 10.0.0.3:1/c").unwrap();
    assert!(
        file.text().ends_with("peer_ID = [5, 0]\npeer_addr = [10.0.0.2, 10.0.0.3]\npeer_ports = [10812, 1]\n"),
        "{}",
        file.text()
    );
    assert_eq!(file.modify("neighbour", "").unwrap().neighbours, []);

    let mut file = read(TOML, None).unwrap();
    file.modify("neighbour", "10.0.0.3:1/c 10.0.0.4:2").unwrap();
    assert!(file.text().contains("neighbour = [\"10.0.0.3:1/c\", \"10.0.0.4:2\"] # two\n"), "{}", file.text());
    let mut file = read("nick = 'A'\n[listen]\nonce = true\n", None).unwrap();
    file.modify("listen", "127.0.0.1:1").unwrap();
    assert!(file.text().ends_with("once = true\n\n[peer]\nlisten = \"127.0.0.1:1\"\n"), "{}", file.text());
}

/// What the programs of the course read with.
const READER: &str = "import configparser, sys\nc = configparser.ConfigParser()\n\
    c.read_string(open(sys.argv[1], encoding='utf-8').read())\n\
    for s in c.sections(): [print(s, k, v, sep='|') for k, v in c.items(s)]\n";

fn read_by_python(text: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.ini");
    fs::write(&path, text).unwrap();
    let output = std::process::Command::new("python3").args(["-c", READER]).arg(&path).output().unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The classic programs go on reading their files, which say to them what they say to us.
#[test]
fn the_programs_of_the_course_can_read_what_was_changed() {
    if !std::process::Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("FEIGE_REQUIRE_ALL").is_none_or(|set| set != "1"), "cannot run here: no python3");
        eprintln!("skipped: no python3");
        return;
    }
    for (text, id, key) in [(J, 2, "server_port"), (C, 7, "port_number")] {
        for text in [text.to_owned(), text.replace('\n', "\r\n")] {
            let mut file = read(&text, Some(id)).unwrap();
            file.modify("share", "50% 文件").unwrap();
            file.modify(key, "4321").unwrap();
            file.modify("network", "10.0.0.0/8").unwrap();
            let (was, is) = (read_by_python(&text), read_by_python(file.text()));
            let new: Vec<_> = is.lines().filter(|line| !was.lines().any(|old| old == *line)).collect();
            let values: Vec<_> = new.iter().map(|line| line.split_once('|').unwrap().1).collect();
            let mut expected =
                vec!["share_dir|50% 文件".to_owned(), format!("{key}|4321"), "networks|10.0.0.0/8".to_owned()];
            expected.sort();
            let mut values: Vec<_> = values.into_iter().map(str::to_owned).collect();
            values.sort();
            assert_eq!(values, expected);
            assert_eq!(is.lines().count(), was.lines().count() + 1);
        }
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place_and_its_remedy() {
    let j = |from: &str, to: &str| J.replacen(from, to, 1);
    let c = |from: &str, to: &str| C.replacen(from, to, 1);
    for (text, id, expected) in [
        (J.to_owned(), None, "p.ini: has several peers; say which one is meant with --id N"),
        (J.to_owned(), Some(9), "p.ini: has no peer with the number 9"),
        (j("server_port = 10801\n", ""), Some(0), "p.ini:2: [Peer-0] has no server_port; add"),
        (j("10801", "70000"), Some(0), "p.ini:4: server_port cannot be \"70000\"; write a port"),
        (j("10801", "0"), Some(0), "p.ini:4: server_port cannot be"),
        (j("127.0.0.1", "localhost"), Some(0), "p.ini:3: ip_addr cannot be \"localhost\"; write an IPv4"),
        (j("[1, 2]", "[1, x]"), Some(0), "p.ini:7: peer_list cannot be \"x\"; write a number"),
        (j("[1, 2]", "[1, 8]"), Some(0), "p.ini:7: peer_list names 8, but there is no [Peer-8]"),
        (j("[Peer-1]", "[Peer-0]"), Some(0), "p.ini:10: [Peer-0] stands twice"),
        (j("[Peer-1]", "[Peer-x]"), Some(0), "p.ini:10: Peer-x cannot be \"x\"; write a number"),
        (j("client_port = 10802", "client port 10802"), Some(0), "p.ini:5: \"client port 10802\" is neither"),
        (j("# Everybody", "stray = 1"), Some(0), "p.ini:1: stray stands before the first"),
        (j("client_port = 10802", "IP_ADDR = 1"), Some(0), "p.ini:5: IP_ADDR stands twice"),
        (j("share/0", ""), Some(0), "p.ini:6: share_dir is empty"),
        (c("10.0.0.2", ""), None, "p.ini:11: peer_ID, peer_addr and peer_ports have not the same"),
        (c("ttl = 3", "ttl = -1"), None, "p.ini:6: ttl cannot be \"-1\""),
        (c("ttl = 3", "ttl = 100000000000000000000000"), None, "p.ini:6: ttl cannot be"),
        ("listen = 5\n".to_owned(), None, "p.ini: listen cannot be 5; write \"ADDR:PORT\""),
        ("ttl = 8\n".to_owned(), None, "p.ini: ttl cannot be 8; write a number of hops from 1 to 7"),
        ("ttl = 0\n".to_owned(), None, "p.ini: ttl cannot be 0; write a number of hops from 1 to 7"),
        (c("ttl = 3", "ttl = 0"), None, "p.ini:6: ttl cannot be \"0\"; write a number of hops from 1 to 255"),
        ("x = 1\nttl = \n".to_owned(), None, "p.ini:2: is neither TOML nor a classic INI file"),
        (
            "neighbours = ['10.0.0.2:1']\n".to_owned(),
            None,
            "p.ini: neighbours is not known; keys are id, listen, share",
        ),
        ("ttl = 2\n[peer]\nport = 1\n".to_owned(), None, "p.ini: port is not known; keys are id, listen, share"),
        ("neighbour = ['x']\n".to_owned(), None, "p.ini: neighbour cannot be 'x'; write [\"ADDR:PORT\""),
        ("network = ['10.0.0.0/33']\n".to_owned(), None, "p.ini: network cannot be"),
        ("max-connections = 0\n".to_owned(), None, "p.ini: max-connections cannot be 0"),
        ("max-size = 7\n".to_owned(), None, "p.ini: max-size cannot be 7; write a size in quotes"),
        (c("ttl = 3", "max_size = much"), None, "p.ini:6: max_size cannot be \"much\"; write a size"),
    ] {
        let error = read(&text, id).map(|file| file.settings().clone()).unwrap_err();
        assert!(error.starts_with(expected), "{error}\n  instead of {expected}");
    }
    for text in [J, C, TOML] {
        let mut file = read(text, Some(if text == J { 0 } else { 7 })).unwrap();
        for (key, value) in [
            ("ttl", "x"),
            ("ttl", "-1"),
            ("share", ""),
            ("listen", "x"),
            ("network", "x"),
            ("colour", "red"),
            ("share", "a\n[Peer-9]"),
            ("max-connections", "0"),
            ("max-size", "much"),
        ] {
            let error = file.modify(key, value).unwrap_err().to_string();
            assert!(error.starts_with("p.ini:"), "{error}");
            assert_eq!(file.text(), text, "{key}");
        }
    }
}

#[test]
fn saved_in_one_step_with_the_rights_that_it_had() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("peers.ini");
    fs::write(&path, J).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    symlink("peers.ini", folder.path().join("link.ini")).unwrap();
    let mut file = SettingsFile::read(&folder.path().join("link.ini"), Some(2)).unwrap();
    file.modify("server_port", "10999").unwrap();
    file.save().unwrap();
    let again = SettingsFile::read(&folder.path().join("link.ini"), Some(2)).unwrap();
    assert_eq!((again.text(), again.settings().listen.port()), (file.text(), 10999));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left aside");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(fs::read_to_string(&path).unwrap(), file.text());
    let error = SettingsFile::read(&folder.path().join("none"), None).unwrap_err().to_string();
    assert!(error.contains("none: cannot be read"), "{error}");
    fs::write(&path, [0xff; 10]).unwrap();
    assert!(SettingsFile::read(&path, None).unwrap_err().to_string().contains("is not UTF-8"));
    fs::write(&path, vec![b'#'; 2 << 20]).unwrap();
    assert!(SettingsFile::read(&path, None).unwrap_err().to_string().contains("larger than 1 MiB"));
}
