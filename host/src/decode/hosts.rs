//! Lists of hosts (R-IP-120 and following).

use feige_core::wire::ParseError;
use feige_core::wire::ipmsg::Command;
use feige_core::wire::ipmsg::host_list::{HostList, ListedHost};

use super::tree::Tree;
use super::{Explainer, Fields, fault, options};

impl Explainer {
    /// The body of an ANSLIST. Hosts that cannot be read are said to be so, each in its place.
    ///
    /// # Errors
    /// [`ParseError`] if it does not begin as a list.
    pub(super) fn host_list(&self, body: &[u8], fields: &mut Fields) -> Result<(), ParseError> {
        let list = HostList::parse(body)?;
        let next = list.next.map_or_else(|| Tree::text("none, the list ends here"), |next| Tree::Number(next.into()));
        fields.push(("next index", next));
        fields.push(("count", Tree::Number(list.count.into())));
        fields.push(("hosts", Tree::List(list.hosts().map(|host| self.host(host)).collect())));
        Ok(())
    }

    fn host(&self, host: Result<ListedHost<'_>, ParseError>) -> Tree {
        let host = match host {
            Ok(host) => host,
            Err(error) => return Tree::Fields(vec![fault(error)]),
        };
        let [code, ..] = host.status.to_le_bytes();
        let status = if host.has_left() { "has left" } else { Command::from_code(code).name() };
        Tree::Fields(vec![
            ("user", self.text(host.user.as_bytes())),
            ("host", self.text(host.host.as_bytes())),
            ("status", Tree::text(format!("{status} ({:#x})", host.status))),
            // The bits are those of an entry, whatever command the list names.
            ("options", options::list(Command::BrEntry, host.options())),
            ("address", Tree::text(host.address.ip().to_string())),
            ("port", Tree::Number(host.address.port().into())),
            ("nick", self.text(host.nick.as_bytes())),
            ("group", self.text(host.group.as_bytes())),
        ])
    }
}
