//! How the daemon begins, drains and ends; and that it is the home's one owner.

use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::Duration;

use crate::rig::{Daemon, answer, home};
use crate::support::{event, id, text};

#[test]
fn the_service_manager_is_told_and_a_request_under_way_is_answered() {
    let (home, token) = home();
    let socket = UnixDatagram::bind(home.folder().join("notify")).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let told = || {
        let mut buffer = [0u8; 256];
        let length = socket.recv(&mut buffer).unwrap();
        text(&buffer[..length])
    };
    let mut command = home.command(&["serve", "--listen", "127.0.0.1:0"]);
    command.env("NOTIFY_SOCKET", home.folder().join("notify")).stderr(Stdio::piped()).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut lines = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut first = String::new();
    std::io::BufRead::read_line(&mut lines, &mut first).unwrap();
    assert!(told().contains("READY=1"));
    let address = first.trim().rsplit('/').next().unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let body = event(&id(1));
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGHUP).unwrap();
    let reload = told();
    assert!(reload.contains("RELOADING=1") && reload.contains("MONOTONIC_USEC="), "{reload}");
    assert!(told().contains("READY=1"));
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    assert!(told().contains("STOPPING=1"));
    stream.write_all(body.as_bytes()).unwrap();
    assert_eq!(answer(stream).status, 200, "what was under way is answered");
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(std::net::TcpStream::connect(address).is_err());
    home.run(&["audit", "verify"], 0);
}

#[test]
fn commands_go_through_the_daemon_and_a_second_daemon_does_not_start() {
    let (home, token) = home();
    let daemon = Daemon::start(&home, &[]);
    let receipt = home.run_with(&["audit", "record"], event(&id(9)).as_bytes(), 0);
    assert!(text(&receipt.stdout).contains(&id(9)));
    assert_eq!(daemon.post("/v1/events", "application/json", &token, event(&id(9)).as_bytes()).status, 200);
    let second = home.run(&["serve", "--listen", "127.0.0.1:0"], 3);
    assert!(text(&second.stderr).contains("in use by another process"), "{}", text(&second.stderr));
    let (code, said) = daemon.stop();
    assert_eq!(code, Some(0), "{said}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    home.run(&["serve", "--listen", &address], 3);
}
