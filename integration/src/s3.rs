//! A real S3 server: SeaweedFS, with signatures checked, in a folder of its own.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;

use crate::{eventually, http, poll, ports::free_port, program::tool};

/// The bucket that everything lies in.
pub const BUCKET: &str = "artifacts";
/// The one identity that may read it.
const ACCESS_KEY: &str = "AKTEST";
const SECRET_KEY: &str = "SKTEST";

/// A running server; gone on drop.
pub struct S3 {
    process: Child,
    /// Takes uploads without a signature.
    filer: String,
    /// Speaks S3.
    s3: String,
    _home: TempDir,
}

impl S3 {
    /// Starts the server and returns when it answers.
    pub async fn start() -> Self {
        let home = tempfile::Builder::new().prefix("s3").tempdir_in("/tmp").expect("make a home");
        let [master, volume, filer, s3] = std::array::from_fn(|_| free_port());
        let process = command(home.path(), [master, volume, filer, s3]).spawn().expect("start weed");
        let address = |port| format!("127.0.0.1:{port}");
        let server = Self { process, filer: address(filer), s3: address(s3), _home: home };
        for address in [&server.filer, &server.s3] {
            eventually("the S3 server listens", async || tokio::net::TcpStream::connect(address).await.ok()).await;
        }
        server
    }

    /// Puts a file into the bucket.
    pub async fn upload(&self, key: &str, bytes: &[u8]) {
        let path = format!("/buckets/{BUCKET}/{key}");
        // It listens before its volumes are ready.
        eventually("the upload is taken", async || {
            let answer = http::put(&self.filer, &path, bytes).await;
            (answer.status == 201).then_some(())
        })
        .await;
    }

    /// The environment variables with which an S3 client reaches it.
    pub fn variables(&self, secret: &str) -> Vec<(String, String)> {
        let endpoint = format!("http://{}", self.s3);
        let pairs = [
            ("AWS_ENDPOINT_URL_S3", endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY),
            ("AWS_SECRET_ACCESS_KEY", secret),
            ("AWS_REGION", "us-east-1"),
        ];
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
    }

    /// The secret that goes with the access key.
    pub fn secret() -> &'static str {
        SECRET_KEY
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        // Its data goes with it, so it need not take half a minute to say goodbye. It may have ended already.
        let _ = kill(Pid::from_raw(self.process.id().cast_signed()), Signal::SIGKILL);
        poll::became_true(poll::PATIENCE, || self.process.try_wait().is_ok_and(|end| end.is_some()));
    }
}

fn command(home: &Path, [master, volume, filer, s3]: [u16; 4]) -> Command {
    let config = home.join("s3.json");
    let actions = ["Admin", "Read", "Write", "List", "Tagging"];
    let credentials = serde_json::json!([{ "accessKey": ACCESS_KEY, "secretKey": SECRET_KEY }]);
    let identity = serde_json::json!({ "name": "test", "credentials": credentials, "actions": actions });
    fs::write(&config, serde_json::json!({ "identities": [identity] }).to_string()).expect("write s3.json");
    let log = File::create(home.join("log")).expect("make the log");
    let mut command = Command::new(tool("venv/bin/weed"));
    command
        .args(["server", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", "-volume.max=20"])
        // Doors with fixed ports, which a second server beside this one would fail to open.
        .args(["-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"])
        .arg(format!("-dir={}", home.display()))
        .arg(format!("-s3.config={}", config.display()))
        .arg(format!("-master.port={master}"))
        .arg(format!("-volume.port={volume}"))
        .arg(format!("-filer.port={filer}"))
        .arg(format!("-s3.port={s3}"))
        .arg("-master.volumeSizeLimitMB=64")
        .current_dir(home)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("share the log"))
        .stderr(log);
    command
}
