//! The service manager is told how far we are: sd_notify(3), a datagram to the socket in `NOTIFY_SOCKET`. Without
//! one, and where it cannot be reached, nobody is told and nothing else changes.

/// Serving.
pub(crate) fn ready() {
    send("READY=1\nSTATUS=serving");
}

/// Draining.
pub(crate) fn stopping() {
    send("STOPPING=1");
}

/// Reading files anew; [`ready`] ends it. `Type=notify-reload` wants the time of the monotonic clock with it.
pub(crate) fn reloading() {
    send(&format!("RELOADING=1\nMONOTONIC_USEC={}", audit::monotonic_us()));
}

#[cfg(unix)]
fn send(state: &str) {
    use std::os::unix::net::UnixDatagram;
    let Some(path) = std::env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty()) else { return };
    let Ok(socket) = UnixDatagram::unbound() else { return };
    #[cfg(target_os = "linux")]
    if let Some(name) = std::os::unix::ffi::OsStrExt::as_bytes(path.as_os_str()).strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt as _;
        if let Ok(address) = std::os::unix::net::SocketAddr::from_abstract_name(name) {
            let _ = socket.send_to_addr(state.as_bytes(), &address); // as said above
        }
        return;
    }
    let _ = socket.send_to(state.as_bytes(), path); // as said above
}

#[cfg(not(unix))]
fn send(_: &str) {}
