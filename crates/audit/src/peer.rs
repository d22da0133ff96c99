//! Who offers an event: what the operating system says of the process at the other end.

use event::{Event, Fields};

use crate::caller::Caller;

/// Characters of a program's path that are kept.
const MAX_EXE: usize = 1024;

/// A process, as the kernel names it. The ids are those of the moment it connected; the program is that which the
/// process id named when it was looked up, and a process can replace its program afterwards.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Peer {
    pub(crate) pid: String,
    pub(crate) uid: String,
    pub(crate) gid: String,
    pub(crate) exe: Option<String>,
    /// The machine that it runs on: this one.
    pub(crate) host: String,
    /// Over a network there is no process to name: only what the caller showed.
    pub(crate) caller: Option<Caller>,
}

impl Peer {
    /// This process.
    pub(crate) fn own() -> Self {
        let pid = std::process::id();
        #[cfg(unix)]
        let (uid, gid) = (nix::unistd::geteuid().to_string(), nix::unistd::getegid().to_string());
        #[cfg(not(unix))]
        let (uid, gid) = (String::new(), String::new());
        let exe = std::env::current_exe().ok().map(|path| shorten(&path.to_string_lossy()));
        Self { pid: pid.to_string(), uid, gid, exe, host: crate::clock::host(), caller: None }
    }

    /// The process at the other end of a socket (`SO_PEERCRED`).
    #[cfg(target_os = "linux")]
    pub(crate) fn of(stream: &std::os::unix::net::UnixStream) -> std::io::Result<Self> {
        use nix::sys::socket::{getsockopt, sockopt::PeerCredentials};
        let peer = getsockopt(stream, PeerCredentials)?;
        let exe = std::fs::read_link(format!("/proc/{}/exe", peer.pid())).ok();
        Ok(Self {
            pid: peer.pid().to_string(),
            uid: peer.uid().to_string(),
            gid: peer.gid().to_string(),
            exe: exe.map(|path| shorten(&path.to_string_lossy())),
            host: crate::clock::host(),
            caller: None,
        })
    }

    /// Elsewhere the socket's own rights (owner-only) are all that is known of the other end.
    #[cfg(all(unix, not(target_os = "linux")))]
    pub(crate) fn of(_: &std::os::unix::net::UnixStream) -> std::io::Result<Self> {
        let own = Self::own();
        Ok(Self { pid: String::new(), exe: None, ..own })
    }

    /// Who came in over a network.
    pub(crate) fn remote(caller: Caller) -> Self {
        let none = String::new;
        Self { pid: none(), uid: none(), gid: none(), exe: None, host: none(), caller: Some(caller) }
    }

    /// Writes `peer.*` into an event's context.
    pub(crate) fn sign<'a>(&'a self, event: &mut Event<'a>) {
        // In the order of the keys, so that they go in together.
        let known: [(&str, &str); 5] = [
            ("peer.exe", self.exe.as_deref().unwrap_or_default()),
            ("peer.gid", &self.gid),
            ("peer.host", &self.host),
            ("peer.pid", &self.pid),
            ("peer.uid", &self.uid),
        ];
        if known.iter().all(|(_, value)| !value.is_empty()) {
            event.ctx.set_all(&known);
        } else {
            let known = known.into_iter().filter(|(_, value)| !value.is_empty());
            known.for_each(|(key, value)| event.ctx.set(key, value));
        }
        if let Some(caller) = &self.caller {
            event.ctx.set("peer.name", caller.name.as_str());
            event.ctx.set("peer.via", caller.via.as_str());
            if let Some(ip) = caller.ip {
                event.ctx.set("peer.ip", ip.to_string());
            }
            if let Some(trace) = caller.trace.as_deref().filter(|_| event.ctx.get(TRACE).is_none()) {
                event.ctx.set(TRACE, trace);
                event.ctx.set(TRACE_BY, "traceparent");
            }
        }
    }
}

/// The trace of an event; and that Custody took it from the request, not from the event.
const TRACE: &str = "trace_id";
const TRACE_BY: &str = "peer.trace";

/// Takes `peer.*` out of a context again, leaving what the caller offered.
pub(crate) fn strip(ctx: &mut Fields<'_>) {
    let given = ctx.get(TRACE_BY).is_none();
    ctx.retain(|key| !key.starts_with("peer.") && (given || key != TRACE));
}

fn shorten(path: &str) -> String {
    path.chars().take(MAX_EXE).collect()
}
