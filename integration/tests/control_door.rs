//! The control API is the operator's: what runs in an environment cannot speak to it, whichever way it connects.

use std::{path::Path, time::Duration};

use nix::sys::signal::Signal;
use pexvisor_integration::{
    Supervisor, eventually,
    pexes::{ready_within, spec},
    request,
};
use pexvisor_proto::v1::{FailureReason, command::Kind};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

/// An HTTP/2 connection preface and empty SETTINGS (RFC 9113, section 3.4): a server answers with its own SETTINGS.
const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// Says hello from inside an environment and prints how many bytes came back. `CONNECT` is how it gets connected.
const INTRUDER: &str = "
import os, socket, time
door = socket.socket(socket.AF_UNIX)
door.settimeout(10)
CONNECT
try:
    door.sendall(b'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n\\0\\0\\0\\4\\0\\0\\0\\0\\0')
    heard = len(door.recv(100))
except OSError:
    heard = 0
print('connected and heard', heard, flush=True)
os._exit(3)
";

async fn heard_by_an_operator(socket: &Path) -> usize {
    let mut door = UnixStream::connect(socket).await.expect("the door is open");
    door.write_all(HELLO).await.expect("somebody listens");
    door.read(&mut [0; 100]).await.expect("somebody answers")
}

/// Runs the intruder as a code server of its own; gives what it printed.
async fn intrude(supervisor: &Supervisor, connect: &str) -> String {
    let socket = supervisor.control_socket();
    let connect = connect.replace("SOCKET", &format!("{:?}", socket.to_str().expect("a path in UTF-8")));
    let mut revision = spec(vec![supervisor.store.offer("tiny-v1")], Kind::Module("timeit".to_owned()));
    let code = INTRUDER.replace("CONNECT", &connect);
    revision.command.as_mut().expect("a command").args = vec!["-n1".to_owned(), "-r1".to_owned(), code];
    let outcome = supervisor.control().deploy(request("intruder", ready_within(30, revision))).await;
    let (failure, _) = outcome.expect("the deploy is accepted").failed(FailureReason::Exited);
    failure.output_tail
}

#[tokio::test]
async fn an_operator_is_answered_and_an_environment_is_not() {
    let supervisor = Supervisor::start().await;
    assert!(heard_by_an_operator(&supervisor.control_socket()).await > 0);
    let printed = intrude(&supervisor, "door.connect(SOCKET)").await;
    assert!(printed.contains("connected and heard 0"), "{printed}");
    let log = supervisor.log();
    assert!(log.contains("refused a connection to the control API"), "{log}");
}

#[tokio::test]
async fn a_connection_made_by_a_process_that_ends_at_once_is_not_answered_either() {
    let supervisor = Supervisor::start().await;
    // The child's identity is the socket's; when it is looked up the child may be gone.
    let connect = "if os.fork() == 0:\n    door.connect(SOCKET)\n    os._exit(0)\nos.wait()";
    let printed = intrude(&supervisor, connect).await;
    assert!(printed.contains("connected and heard 0"), "{printed}");
}

#[tokio::test]
async fn nor_is_one_made_by_a_process_that_is_a_zombie_by_then() {
    let supervisor = Supervisor::start().await;
    let go = supervisor.home().join("go");
    // A zombie has left its control group (v1 says "/"), so its group must not be taken for an operator's.
    let wait = format!("print('waiting', flush=True)\nwhile not os.path.exists({go:?}): time.sleep(0.01)\n");
    let connect = format!("{wait}if os.fork() == 0:\n    door.connect(SOCKET)\n    os._exit(0)\ntime.sleep(1)");
    let control = supervisor.control();
    let held_up = async {
        let waits =
            async || control.log_text("intruder", 0).await.is_ok_and(|text| text.contains("waiting")).then_some(());
        eventually("the intruder waits", waits).await;
        // So that the supervisor looks only when the child has ended.
        supervisor.signal(Signal::SIGSTOP);
        std::fs::write(&go, "").expect("tell it to go");
        tokio::time::sleep(Duration::from_millis(500)).await;
        supervisor.signal(Signal::SIGCONT);
    };
    let (printed, ()) = tokio::join!(intrude(&supervisor, &connect), held_up);
    assert!(printed.contains("connected and heard 0"), "{printed}");
}

#[tokio::test]
async fn the_socket_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let supervisor = Supervisor::start().await;
    let mode = std::fs::metadata(supervisor.control_socket()).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
