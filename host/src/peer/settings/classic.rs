//! The two INI forms of the classic programs.

use std::net::SocketAddrV4;
use std::num::{NonZeroU8, NonZeroU16};
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::Ipv4Net;

use super::ini::{Pair, Section, modified as with_line, parse};
use super::{Dialect, Form, MOST_HOPS, Neighbour, Settings, Wrong, items};

const PEER: &str = "Peer-";
const OTHERS: &str = "Netpeers";

/// Which of the two forms a text has; `None` if it is neither.
pub(super) fn form(text: &str) -> Option<Form> {
    let sections = |name: &str| {
        let mut lines = text.lines().map(|line| line.trim_start_matches('\u{feff}').trim());
        lines.any(|line| line.strip_prefix('[').is_some_and(|rest| rest.starts_with(name)))
    };
    sections(PEER).then(|| if sections(OTHERS) { Form::C } else { Form::J })
}

pub(super) fn settings(text: &str, form: Form, id: Option<u32>) -> Result<Settings, Wrong> {
    let sections = parse(text)?;
    let peer = chosen(&sections, form, id)?;
    let defaults = Settings::default();
    let port = if form == Form::J { "server_port" } else { "port_number" };
    let listen = SocketAddrV4::new(value(peer.required("ip_addr")?, ADDRESS)?, port_of(peer.required(port)?)?);
    let share = peer.required("share_dir")?;
    if share.value.is_empty() {
        return Err(Wrong::at(share.line, "share_dir is empty; name the folder to be shared"));
    }
    let ttl = peer.pair("ttl").map_or(Ok(defaults.ttl), ttl_of)?;
    let networks = peer.pair("networks").map_or(Ok(Vec::new()), |pair| {
        let networks = items(pair.value).map(|item| value(Pair { value: item, ..pair }, NETWORK));
        networks.collect::<Result<Vec<Ipv4Net>, _>>()
    })?;
    let max_connections = peer.pair("max_connections").map_or(Ok(defaults.max_connections), connections_of)?;
    let max_size = peer.pair("max_size").map_or(Ok(defaults.max_size), |pair| value(pair, "a size, as 2GiB"))?;
    let neighbours = match form {
        Form::J => listed(&sections, peer)?,
        _ => others(&sections)?,
    };
    let id = Some(number_of(peer, form)?);
    Ok(Settings {
        listen,
        share: PathBuf::from(share.value.replace("%%", "%")),
        ttl,
        neighbours,
        networks,
        id,
        max_connections,
        max_size,
    })
}

/// The section of the peer with the number `id`, or of the only one.
fn chosen<'s, 't>(sections: &'s [Section<'t>], form: Form, id: Option<u32>) -> Result<&'s Section<'t>, Wrong> {
    let peers: Vec<_> = sections.iter().filter(|section| section.name.starts_with(PEER)).collect();
    for peer in &peers {
        number_of(peer, form)?;
    }
    match (id, &*peers) {
        (None, [only]) => Ok(only),
        (None, _) => Err(Wrong::new("has several peers; say which one is meant with --id N")),
        (Some(id), _) => peers
            .iter()
            .find(|peer| number_of(peer, form) == Ok(id))
            .copied()
            .ok_or_else(|| Wrong::new(format!("has no peer with the number {id}; use one of its [Peer-N]"))),
    }
}

/// The number of a peer: of a "C" file its `ID`, if it has one, else that of the section.
fn number_of(peer: &Section<'_>, form: Form) -> Result<u32, Wrong> {
    if form == Form::C
        && let Some(pair) = peer.pair("ID")
    {
        return value(pair, NUMBER);
    }
    let number = peer.name.strip_prefix(PEER).unwrap_or_default();
    value(Pair { key: peer.name, value: number, line: peer.line }, NUMBER)
}

/// The neighbours of a peer of a "J" file: other peers of it.
fn listed(sections: &[Section<'_>], peer: &Section<'_>) -> Result<Vec<Neighbour>, Wrong> {
    let pair = peer.required("peer_list")?;
    let neighbours = items(pair.value).map(|item| {
        let id: u32 = value(Pair { value: item, ..pair }, NUMBER)?;
        let other = sections
            .iter()
            .find(|section| section.name.strip_prefix(PEER).and_then(|number| number.parse().ok()) == Some(id))
            .ok_or_else(|| {
                Wrong::at(pair.line, format!("peer_list names {id}, but there is no [Peer-{id}]; add it"))
            })?;
        let at =
            SocketAddrV4::new(value(other.required("ip_addr")?, ADDRESS)?, port_of(other.required("server_port")?)?);
        Ok(Neighbour { at, dialect: Some(Dialect::J) })
    });
    neighbours.collect()
}

/// The neighbours of a "C" file.
fn others(sections: &[Section<'_>]) -> Result<Vec<Neighbour>, Wrong> {
    let Some(others) = sections.iter().find(|section| section.name == OTHERS) else { return Ok(Vec::new()) };
    let (addresses, ports) = (others.required("peer_addr")?, others.required("peer_ports")?);
    let counts =
        [Some(addresses), Some(ports), others.pair("peer_ID")].map(|pair| pair.map(|pair| items(pair.value).count()));
    if counts.iter().flatten().any(|count| Some(*count) != counts[0]) {
        let what = "peer_ID, peer_addr and peer_ports have not the same number of items; give each peer one of each";
        return Err(Wrong::at(addresses.line, what));
    }
    let pairs = items(addresses.value).zip(items(ports.value)).map(|(address, port)| {
        let ip = value(Pair { value: address, ..addresses }, ADDRESS)?;
        let at = SocketAddrV4::new(ip, port_of(Pair { value: port, ..ports })?);
        Ok(Neighbour { at, dialect: Some(Dialect::C) })
    });
    pairs.collect()
}

/// The text with another value of `key`, which is one of [`super::KEYS`] or a classic one.
pub(super) fn modified(text: &str, form: Form, id: Option<u32>, key: &str, value: &str) -> Result<String, Wrong> {
    let sections = parse(text)?;
    let peer = chosen(&sections, form, id)?;
    let port = if form == Form::J { "server_port" } else { "port_number" };
    match key {
        "listen" => {
            let at: SocketAddrV4 = value
                .parse()
                .map_err(|_| Wrong::new(format!("listen cannot be {value:?}; write ADDR:PORT, as 192.168.0.7:2426")))?;
            let text = with_line(text, peer, "ip_addr", &at.ip().to_string());
            modified(&text, form, id, port, &at.port().to_string())
        }
        // To the programs of the course, which read with Python's `configparser`, one alone begins a reference.
        "share" => Ok(with_line(text, peer, "share_dir", &value.replace('%', "%%"))),
        "max-connections" => Ok(with_line(text, peer, "max_connections", value)),
        "max-size" => Ok(with_line(text, peer, "max_size", value)),
        "neighbour" => with_neighbours(text, &sections, peer, form, value),
        "network" => Ok(with_line(text, peer, "networks", value)),
        "ttl" | "networks" | "max_connections" | "max_size" | "ip_addr" | "share_dir" => {
            Ok(with_line(text, peer, key, value))
        }
        "server_port" | "client_port" | "peer_list" if form == Form::J => Ok(with_line(text, peer, key, value)),
        "port_number" if form == Form::C => Ok(with_line(text, peer, key, value)),
        _ => Err(Wrong::new(format!("{key} cannot be changed; use one of {}", super::KEYS.join(", ")))),
    }
}

fn with_neighbours(
    text: &str,
    sections: &[Section<'_>],
    peer: &Section<'_>,
    form: Form,
    value: &str,
) -> Result<String, Wrong> {
    let neighbours: Vec<Neighbour> = items(value)
        .map(|item| item.parse().map_err(|error| Wrong::new(format!("neighbour: {error}"))))
        .collect::<Result<_, _>>()?;
    let own = if form == Form::J { Dialect::J } else { Dialect::C };
    if let Some(other) = neighbours.iter().find(|neighbour| neighbour.dialect.is_some_and(|dialect| dialect != own)) {
        let what = format!("neighbour: this form of file can only have /{} peers, not {other}; use TOML", own.name());
        return Err(Wrong::new(what));
    }
    if form == Form::J {
        let ids = neighbours.iter().map(|neighbour| {
            let is_it = |section: &&Section<'_>| {
                section.pair("ip_addr").is_some_and(|pair| pair.value == neighbour.at.ip().to_string())
                    && section.pair("server_port").is_some_and(|pair| pair.value == neighbour.at.port().to_string())
            };
            let id = sections.iter().find(is_it).and_then(|section| section.name.strip_prefix(PEER));
            id.ok_or_else(|| {
                Wrong::new(format!("neighbour: no peer of the file is at {}; add a [Peer-N] for it", neighbour.at))
            })
        });
        let ids = ids.collect::<Result<Vec<_>, _>>()?;
        return Ok(with_line(text, peer, "peer_list", &format!("[{}]", ids.join(", "))));
    }
    let missing = || Wrong::new(format!("has no [{OTHERS}]; add it"));
    let list = |items: Vec<String>| format!("[{}]", items.join(", "));
    let addresses = list(neighbours.iter().map(|neighbour| neighbour.at.ip().to_string()).collect());
    let ports = list(neighbours.iter().map(|neighbour| neighbour.at.port().to_string()).collect());
    // The numbers of peers that stay are kept; others get the first that are free.
    let others = sections.iter().find(|section| section.name == OTHERS).ok_or_else(missing)?;
    let known: Vec<(Neighbour, &str)> = others_with_numbers(sections, others).unwrap_or_default();
    let mut taken: Vec<String> = known.iter().map(|(_, id)| (*id).to_owned()).collect();
    taken.push(number_of(peer, form)?.to_string());
    let ids = neighbours.iter().map(|neighbour| {
        if let Some((_, id)) = known.iter().find(|(known, _)| known.at == neighbour.at) {
            return (*id).to_owned();
        }
        let free = (0_u32..).map(|id| id.to_string()).find(|id| !taken.contains(id)).unwrap_or_default();
        taken.push(free.clone());
        free
    });
    let mut text = text.to_owned();
    for (key, value) in [("peer_ID", list(ids.collect())), ("peer_addr", addresses), ("peer_ports", ports)] {
        let sections = parse(&text)?;
        let others = sections.iter().find(|section| section.name == OTHERS).ok_or_else(missing)?;
        text = with_line(&text, others, key, &value);
    }
    Ok(text)
}

fn others_with_numbers<'t>(
    sections: &[Section<'t>],
    others_section: &Section<'t>,
) -> Option<Vec<(Neighbour, &'t str)>> {
    let ids = others_section.pair("peer_ID")?;
    Some(others(sections).ok()?.into_iter().zip(items(ids.value)).collect())
}

const ADDRESS: &str = "an IPv4 address, as 192.168.0.7";
const NETWORK: &str = "a network, as 192.168.0.0/24";
const NUMBER: &str = "a number";

fn value<T: FromStr>(pair: Pair<'_>, wanted: &str) -> Result<T, Wrong> {
    let wrong = |_| Wrong::at(pair.line, format!("{} cannot be {:?}; write {wanted}", pair.key, pair.value));
    pair.value.parse().map_err(wrong)
}

fn port_of(pair: Pair<'_>) -> Result<u16, Wrong> {
    value(pair, "a port from 1 to 65535").map(NonZeroU16::get)
}

fn connections_of(pair: Pair<'_>) -> Result<u16, Wrong> {
    value(pair, "a number from 1 to 65535").map(NonZeroU16::get)
}

/// The classic programs take any number; what is more than is ever sent counts as the most.
fn ttl_of(pair: Pair<'_>) -> Result<u8, Wrong> {
    value(pair, "a number of hops from 1 to 255").map(|ttl: NonZeroU8| ttl.get().min(MOST_HOPS))
}
